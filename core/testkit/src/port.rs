//! Ports that are known before anybody listens on them.

use std::{io, net::Ipv4Addr};

use tokio::net::TcpSocket;

/// A port of 127.0.0.1 that the system gives to nobody who asks for any free one, for as long as this is held. A program
/// that is told its number can listen there, end, and listen there again.
#[derive(Debug)]
pub struct ReservedPort {
    number: u16,
    _bound: TcpSocket,
}

impl ReservedPort {
    /// Any port that is free.
    ///
    /// # Errors
    /// Whatever keeps the system from giving one.
    pub fn any() -> io::Result<Self> {
        Self::at(0)
    }

    /// This port; any that is free for 0.
    ///
    /// # Errors
    /// Another program has it.
    pub(crate) fn at(number: u16) -> io::Result<Self> {
        let bound = TcpSocket::new_v4()?;
        // Bound and not listening, it is in the way of nobody who sets the same option, as servers do.
        bound.set_reuseaddr(true)?;
        bound.bind((Ipv4Addr::LOCALHOST, number).into())?;
        Ok(Self {
            number: bound.local_addr()?.port(),
            _bound: bound,
        })
    }

    /// Its number.
    pub const fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn only_who_names_it_gets_it_again_and_again() {
        let port = ReservedPort::any().unwrap();
        let address = (Ipv4Addr::LOCALHOST, port.number());
        assert!(TcpStream::connect(address).is_err());
        for _ in 0..2 {
            let listener = TcpListener::bind(address).unwrap();
            let _open = TcpStream::connect(address).unwrap();
            let _accepted = listener.accept().unwrap();
        }
        let plain = TcpSocket::new_v4().unwrap();
        plain.set_reuseaddr(false).unwrap();
        let refused = plain.bind(address.into()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
    }
}
