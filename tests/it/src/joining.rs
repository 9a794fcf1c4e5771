//! Nodes that come with a ticket.

use std::fs::File;
use std::process::{Command, Output, Stdio};

use coracle_client::{CreateToken, MemberInfo, MemberList, MemberRole};

use crate::cluster::Node;
use crate::wait::eventually;
use crate::{Cluster, binary};

impl Cluster {
    /// A ticket that is good once, for an hour.
    pub fn ticket(&self, role: MemberRole) -> String {
        let token = CreateToken {
            role,
            ttl_seconds: 3600,
            uses: 1,
        };
        let made = eventually("a ticket", || {
            let made = self.run(self.client().create_token(&token));
            made.map_err(|error| error.to_string())
        });
        made.ticket
    }

    /// Starts a new node with a ticket, under the next id; answers the id at once.
    pub fn start_joining(&mut self, ticket: &str) -> u64 {
        let id = self.ids().len() as u64 + 1;
        let log = self.log_path(id);
        let stderr = File::create(&log).expect("a log file");
        let process = self
            .join_command(ticket, id)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .expect("coracle start runs");
        let (_, http) = self.addresses(id);
        self.add(Node {
            config: self.folder().join(format!("n{id}/coracle.toml")),
            http: format!("http://{http}"),
            process: Some(process),
        });
        id
    }

    /// Lets a node join, and waits until it is what its ticket makes of it in every group.
    pub fn join(&mut self, role: MemberRole) -> u64 {
        let ticket = self.ticket(role);
        let id = self.start_joining(&ticket);
        self.wait_for_role(id, role);
        id
    }

    /// Tries to join as node `id`, which must fail; answers how.
    pub fn join_fails(&self, ticket: &str, id: u64) -> Output {
        let output = self
            .join_command(ticket, id)
            .stdin(Stdio::null())
            .output()
            .expect("coracle start runs");
        assert!(!output.status.success(), "it has joined");
        output
    }

    fn join_command(&self, ticket: &str, id: u64) -> Command {
        let (quic, http) = self.addresses(id);
        let mut command = Command::new(binary());
        command
            .args(["start", "--join", ticket, "--quic", &quic, "--http", &http])
            .arg("--data-dir")
            .arg(self.folder().join(format!("n{id}")));
        command
    }

    /// Waits until a node has this role and every group has followed.
    pub fn wait_for_role(&self, id: u64, role: MemberRole) {
        eventually("a node to have its role in every group", || {
            let list = self.members()?;
            match list.members.iter().find(|member| member.node == id) {
                Some(member) if member.role == role && list.pending.is_empty() => Ok(()),
                member => Err(format!("{member:?}, still changing: {:?}", list.pending)),
            }
        });
    }

    /// The members as the leader of group 0 sees them.
    pub fn members(&self) -> Result<MemberList, String> {
        let running = self.ids().into_iter().filter(|id| self.is_running(*id));
        let mut last = "no node runs".to_owned();
        for id in running {
            match self.run(self.client_of(&[id]).members()) {
                Ok(list) if list.leader == Some(list.view) => return Ok(list),
                Ok(list) => last = format!("n{id} does not lead, {:?} does", list.leader),
                Err(error) => last = error.to_string(),
            }
        }
        Err(last)
    }

    /// One member as the leader of group 0 sees it.
    pub fn member(&self, id: u64) -> Result<MemberInfo, String> {
        let list = self.members()?;
        let found = list.members.into_iter().find(|member| member.node == id);
        found.ok_or_else(|| format!("there is no node {id}"))
    }

    /// Removes a node with the command line, and waits until its process has ended by itself.
    pub fn remove(&mut self, id: u64) {
        self.coracle_ok(&["members", "remove", &format!("n{id}")]);
        let ended = self.wait_for_exit(id);
        assert_eq!(ended.code(), Some(1), "n{id}: {}", self.log(id));
        assert!(
            self.log(id).contains("was removed from the cluster"),
            "{}",
            self.log(id)
        );
    }
}
