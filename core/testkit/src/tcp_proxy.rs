//! A way to a TCP server that a test can cut or block.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// What becomes of bytes that arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// Connections stay, and nothing passes; what is sent waits.
    Stalled,
    /// Connections are closed, and so are new ones.
    Cut,
}

/// Listens on a free port of 127.0.0.1 and passes every connection on. Must live inside a tokio runtime.
#[derive(Debug)]
pub struct TcpProxy {
    address: SocketAddr,
    way: watch::Sender<Way>,
    accepting: JoinHandle<()>,
}

impl TcpProxy {
    /// A way to `server`, open.
    ///
    /// # Errors
    /// Whatever keeps a port from being bound.
    pub async fn start(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (way, ways) = watch::channel(Way::Open);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(pass(client, server, ways.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self {
            address,
            way,
            accepting,
        })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes every connection, and each new one as it comes.
    pub fn cut(&self) {
        self.way.send_replace(Way::Cut);
    }

    /// Keeps connections open, and new ones too, but passes nothing on, as a network does that loses packets.
    pub fn stall(&self) {
        self.way.send_replace(Way::Stalled);
    }

    /// Passes everything on again, what waited first.
    pub fn mend(&self) {
        self.way.send_replace(Way::Open);
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pass(client: TcpStream, server: SocketAddr, ways: watch::Receiver<Way>) {
    let mut cut = ways.clone();
    let passing = async {
        let server = TcpStream::connect(server).await?;
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::try_join!(
            copy(from_client, to_server, ways.clone()),
            copy(from_server, to_client, ways)
        )
    };
    tokio::select! {
        // Either side hung up, and with this function's end so do we.
        _ = passing => {}
        _ = cut.wait_for(|way| *way == Way::Cut) => {}
    }
}

async fn copy(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut ways: watch::Receiver<Way>,
) -> io::Result<()> {
    let mut bytes = vec![0; 16 << 10];
    loop {
        let length = from.read(&mut bytes).await?;
        // The proxy is gone where this fails, and then nothing passes any more.
        let open = ways.wait_for(|way| *way == Way::Open).await;
        open.map_err(|_| io::ErrorKind::BrokenPipe)?;
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&bytes[..length]).await?;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_way_stalls_goes_on_and_is_cut() {
        let echo = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let proxy = TcpProxy::start(echo.local_addr().unwrap()).await.unwrap();
        tokio::spawn(async move {
            while let Ok((mut peer, _)) = echo.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = peer.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        let mut byte = [0];
        client.write_all(b"a").await.unwrap();
        client.read_exact(&mut byte).await.unwrap();
        proxy.stall();
        client.write_all(b"b").await.unwrap();
        let stalled = tokio::time::timeout(Duration::from_millis(50), client.read_exact(&mut byte)).await;
        assert!(stalled.is_err(), "passed {byte:?}");
        proxy.mend();
        client.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, b"b");
        proxy.cut();
        assert!(matches!(client.read(&mut byte).await, Ok(0) | Err(_)));
        let mut refused = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(matches!(refused.read(&mut byte).await, Ok(0) | Err(_)));
    }
}
