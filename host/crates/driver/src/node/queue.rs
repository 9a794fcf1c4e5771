//! Commands that wait to be proposed.

use std::collections::VecDeque;

use crate::task::{Command, NotApplied, Ticket};

use super::NodeConfig;

/// Commands of one group that wait to be formed into entries, bounded in number and bytes.
#[derive(Debug, Default)]
pub(super) struct CommandQueue {
    waiting: VecDeque<(Command, Ticket)>,
    bytes: usize,
}

/// Commands that go into one entry, with whom to answer, in order.
#[derive(Debug, Default)]
pub(super) struct CommandGroup {
    pub(super) commands: Vec<Command>,
    pub(super) tickets: Vec<Ticket>,
}

impl CommandQueue {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes a command in, or says why not.
    pub(super) fn push(
        &mut self,
        config: &NodeConfig,
        command: Command,
        ticket: Ticket,
    ) -> Result<(), NotApplied> {
        let bytes = command.body.len();
        if bytes > config.max_command_bytes {
            return Err(NotApplied::TooLarge {
                bytes: bytes as u64,
                limit: config.max_command_bytes as u64,
            });
        }
        if self.waiting.len() >= config.max_queued_commands
            || self.bytes.saturating_add(bytes) > config.max_queued_bytes
        {
            return Err(NotApplied::Busy);
        }
        self.bytes += bytes;
        self.waiting.push_back((command, ticket));
        Ok(())
    }

    /// The commands of the next entry: as many as fit, but at least one.
    pub(super) fn take(&mut self, config: &NodeConfig) -> CommandGroup {
        let mut group = CommandGroup::default();
        let mut bytes = 0;
        while let Some((command, _)) = self.waiting.front() {
            bytes += command.body.len();
            let full =
                group.commands.len() >= config.max_group_commands || bytes > config.max_group_bytes;
            if full && !group.commands.is_empty() {
                break;
            }
            if let Some((command, ticket)) = self.waiting.pop_front() {
                self.bytes -= command.body.len();
                group.commands.push(command);
                group.tickets.push(ticket);
            }
        }
        group
    }

    /// Puts commands back that could not be proposed yet.
    pub(super) fn put_back(&mut self, group: CommandGroup) {
        let pairs = group.commands.into_iter().zip(group.tickets);
        for (command, ticket) in pairs.rev() {
            self.bytes += command.body.len();
            self.waiting.push_front((command, ticket));
        }
    }

    /// Everybody who waits; the queue is empty then.
    pub(super) fn drain(&mut self) -> Vec<Ticket> {
        self.bytes = 0;
        self.waiting.drain(..).map(|(_, ticket)| ticket).collect()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use coracle_proto::NodeId;

    use super::*;

    #[test]
    fn an_entry_takes_what_fits_and_a_giant_goes_alone() {
        let config = NodeConfig {
            max_group_commands: 3,
            max_group_bytes: 10,
            ..NodeConfig::new(NodeId(1))
        };
        let mut queue = CommandQueue::default();
        for (ticket, size) in [6, 4, 1, 50, 1, 1, 1, 1].into_iter().enumerate() {
            queue
                .push(&config, command(size), Ticket(ticket as u64))
                .unwrap();
        }
        assert_eq!(sizes(&queue.take(&config)), [6, 4]);
        assert_eq!(sizes(&queue.take(&config)), [1]);
        assert_eq!(sizes(&queue.take(&config)), [50]);
        assert_eq!(sizes(&queue.take(&config)), [1, 1, 1]);
        assert_eq!(queue.drain(), [Ticket(7)]);
        assert!(queue.take(&config).commands.is_empty());
    }

    #[test]
    fn what_is_put_back_comes_out_again_in_the_same_order() {
        let config = NodeConfig::new(NodeId(1));
        let mut queue = CommandQueue::default();
        for ticket in 0..3 {
            queue.push(&config, command(1), Ticket(ticket)).unwrap();
        }
        let group = queue.take(&config);
        queue.push(&config, command(1), Ticket(3)).unwrap();
        queue.put_back(group);
        assert_eq!(queue.take(&config).tickets, [0, 1, 2, 3].map(Ticket));
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn a_full_queue_is_busy_and_an_oversized_command_is_named_with_its_size() {
        let config = NodeConfig {
            max_command_bytes: 8,
            max_queued_commands: 2,
            max_queued_bytes: 12,
            ..NodeConfig::new(NodeId(1))
        };
        let mut queue = CommandQueue::default();
        let too_large = NotApplied::TooLarge { bytes: 9, limit: 8 };
        assert_eq!(queue.push(&config, command(9), Ticket(0)), Err(too_large));
        assert_eq!(queue.push(&config, command(8), Ticket(1)), Ok(()));
        assert_eq!(
            queue.push(&config, command(8), Ticket(2)),
            Err(NotApplied::Busy)
        );
        assert_eq!(queue.push(&config, command(4), Ticket(3)), Ok(()));
        assert_eq!(
            queue.push(&config, command(0), Ticket(4)),
            Err(NotApplied::Busy)
        );
    }

    fn command(bytes: usize) -> Command {
        Command {
            body: Bytes::from(vec![7; bytes]),
            key: None,
        }
    }

    fn sizes(group: &CommandGroup) -> Vec<usize> {
        group.commands.iter().map(|c| c.body.len()).collect()
    }
}
