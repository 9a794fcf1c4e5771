//! A stretch of network that can be cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// Forwards packets between whoever dials it and one node.
pub(crate) struct Relay {
    pub(crate) addr: SocketAddr,
    passes: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Relay {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let front = UdpSocket::bind("127.0.0.1:0").await.expect("socket");
        let back = UdpSocket::bind("127.0.0.1:0").await.expect("socket");
        back.connect(target).await.expect("address");
        let addr = front.local_addr().expect("address");
        let passes = Arc::new(AtomicBool::new(true));
        let open = Arc::clone(&passes);
        let task = tokio::spawn(async move {
            let (mut there, mut here) = (vec![0; 65536], vec![0; 65536]);
            let mut client = None;
            loop {
                tokio::select! {
                    Ok((length, from)) = front.recv_from(&mut there) => {
                        client = Some(from);
                        if open.load(Ordering::Relaxed) {
                            let _ = back.send(&there[..length]).await;
                        }
                    }
                    Ok(length) = back.recv(&mut here) => {
                        if let (Some(client), true) = (client, open.load(Ordering::Relaxed)) {
                            let _ = front.send_to(&here[..length], client).await;
                        }
                    }
                }
            }
        });
        Self { addr, passes, task }
    }

    /// From now on nothing passes, either way.
    pub(crate) fn cut(&self) {
        self.passes.store(false, Ordering::Relaxed);
    }

    pub(crate) fn mend(&self) {
        self.passes.store(true, Ordering::Relaxed);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}
