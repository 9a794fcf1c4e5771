//! Transports on the loopback interface, on ports of the system's choice.

mod bulk;
mod cluster;
mod codec;
mod join;
mod lanes;
mod peers;
mod refusals;
mod relay;
mod requests;
mod versions;
