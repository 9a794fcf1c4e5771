//! The places at which a node can be made to fail, and what leads to each of them.

/// Who passes a place when it is led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Roles {
    Both,
    Leader,
    Follower,
}

/// What leads to a place, for sure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Nothing but the clients.
    Load,
    /// Leadership is handed over.
    Transfer,
    /// A voter becomes a learner, and a voter again.
    Members,
    /// A checkpoint is asked for.
    Checkpoint,
    /// The log is cut past what a node has that was away.
    FallBehind,
    /// An fsm is created, of a plugin that nobody has yet.
    Create,
    /// The fsm of the clients gets another plugin, which nobody has yet.
    Upgrade,
    /// A node joins, by the leader of group 0.
    Join,
    /// More keyed outcomes than an fsm remembers.
    Sessions,
    /// SIGTERM.
    Stop,
}

/// A place of `host/src/server/failpoints`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) name: &'static str,
    pub(super) way: Way,
    pub(super) roles: Roles,
    /// Whether a node must stop after an error there: it is of the log.
    pub(super) stops: bool,
}

const fn place(name: &'static str, way: Way, roles: Roles) -> Place {
    Place {
        name,
        way,
        roles,
        stops: false,
    }
}

const fn of_the_log(name: &'static str, way: Way, roles: Roles) -> Place {
    Place {
        stops: true,
        ..place(name, way, roles)
    }
}

/// All of them. A node that names another set fails the scenario.
pub(super) const PLACES: &[Place] = &[
    of_the_log("before-hard-state", Way::Transfer, Roles::Both),
    of_the_log("after-hard-state", Way::Transfer, Roles::Both),
    of_the_log("before-append", Way::Load, Roles::Both),
    of_the_log("after-append", Way::Load, Roles::Both),
    of_the_log("before-configuration", Way::Members, Roles::Both),
    of_the_log("after-configuration", Way::Members, Roles::Both),
    of_the_log("before-compact", Way::Checkpoint, Roles::Both),
    of_the_log("after-compact", Way::Checkpoint, Roles::Both),
    of_the_log("before-install", Way::FallBehind, Roles::Follower),
    of_the_log("after-install", Way::FallBehind, Roles::Follower),
    of_the_log("before-host", Way::Create, Roles::Both),
    of_the_log("after-host", Way::Create, Roles::Both),
    of_the_log("before-log-sync", Way::Load, Roles::Both),
    of_the_log("after-log-sync", Way::Load, Roles::Both),
    of_the_log("before-anchor-write", Way::Load, Roles::Both),
    of_the_log("after-anchor-sync", Way::Transfer, Roles::Both),
    of_the_log("before-log-close", Way::Stop, Roles::Both),
    of_the_log("after-log-close", Way::Stop, Roles::Both),
    place("before-snapshot-write", Way::Checkpoint, Roles::Both),
    place("after-snapshot-write", Way::Checkpoint, Roles::Both),
    place("before-snapshot-sync", Way::Checkpoint, Roles::Both),
    place("after-snapshot-sync", Way::Checkpoint, Roles::Both),
    place("before-snapshot-rename", Way::Checkpoint, Roles::Both),
    place("after-snapshot-rename", Way::Checkpoint, Roles::Both),
    place("before-snapshot-remove", Way::Checkpoint, Roles::Both),
    place("before-stage", Way::Create, Roles::Both),
    place("after-stage", Way::Create, Roles::Both),
    place("before-plugin-rename", Way::Create, Roles::Both),
    place("after-plugin-rename", Way::Create, Roles::Both),
    place("before-apply", Way::Load, Roles::Both),
    place("after-apply", Way::Load, Roles::Both),
    place("before-checkpoint", Way::Checkpoint, Roles::Both),
    place("after-checkpoint", Way::Checkpoint, Roles::Both),
    place("before-init", Way::Create, Roles::Both),
    place("before-restore", Way::Checkpoint, Roles::Leader),
    place("before-restore", Way::FallBehind, Roles::Follower),
    place("after-restore", Way::Checkpoint, Roles::Leader),
    place("after-restore", Way::FallBehind, Roles::Follower),
    place("before-activate", Way::Upgrade, Roles::Both),
    place("after-activate", Way::Upgrade, Roles::Both),
    place("session-expiry", Way::Sessions, Roles::Both),
    place("before-configured", Way::Members, Roles::Both),
    place("before-send", Way::Load, Roles::Leader),
    place("before-answer", Way::Load, Roles::Both),
    place("before-snapshot-send", Way::FallBehind, Roles::Leader),
    place("before-admission", Way::Join, Roles::Leader),
];

/// What fails there.
pub(super) const ACTIONS: &[&str] = &["exit", "panic", "sleep", "error"];

/// One failure.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub(super) place: Place,
    pub(super) action: &'static str,
    pub(super) leads: bool,
}

impl Point {
    /// Every place with every action, as leader and as follower.
    pub(super) fn all() -> Vec<Self> {
        let mut points = Vec::new();
        for place in PLACES {
            for action in ACTIONS {
                let roles = [(true, Roles::Follower), (false, Roles::Leader)];
                let roles = roles.into_iter().filter(|(_, not)| place.roles != *not);
                points.extend(roles.map(|(leads, _)| Self {
                    place: *place,
                    action,
                    leads,
                }));
            }
        }
        points
    }

    pub(super) fn role(&self) -> &'static str {
        if self.leads { "leader" } else { "follower" }
    }

    /// Whether the node must have stopped after it.
    pub(super) fn stops(&self) -> bool {
        match self.action {
            "exit" => true,
            // A node that is told to stop stops, sooner or later.
            "sleep" => self.place.way == Way::Stop,
            _ => self.place.stops,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_one_schedule_for_each_role() {
        for (at, one) in PLACES.iter().enumerate() {
            for other in &PLACES[at + 1..] {
                let apart = one.roles != other.roles
                    && one.roles != Roles::Both
                    && other.roles != Roles::Both;
                assert!(one.name != other.name || apart, "{}", one.name);
            }
        }
    }

    #[test]
    fn a_point_is_only_played_in_the_roles_that_pass_it() {
        let points = Point::all();
        let of = |name| points.iter().filter(move |point| point.place.name == name);
        assert_eq!(of("before-append").count(), 2 * ACTIONS.len());
        assert!(of("before-install").all(|point| !point.leads));
        assert!(of("before-send").all(|point| point.leads));
    }
}
