//! Whom a process talks to.

use std::{fs, io, net::SocketAddr, path::Path};

/// The far ends of the TCP connections that a process of this machine has over IPv4: its own, and those
/// whose file descriptors it inherited.
///
/// # Errors
/// What the system says of `/proc/<pid>/fd`, of a process that ended or is another user's above all.
pub fn connections(pid: u32) -> io::Result<Vec<SocketAddr>> {
    let process = Path::new("/proc").join(pid.to_string());
    let mut sockets = Vec::new();
    for descriptor in fs::read_dir(process.join("fd"))? {
        // One that was closed meanwhile is none.
        let Ok(target) = fs::read_link(descriptor?.path()) else {
            continue;
        };
        let inode = target.to_str().and_then(|target| target.strip_prefix("socket:["));
        sockets.extend(inode.and_then(|rest| rest.strip_suffix(']')?.parse::<u64>().ok()));
    }
    let table = fs::read_to_string(process.join("net/tcp"))?;
    let rows = table.lines().skip(1).filter_map(row);
    Ok(rows
        .filter(|(inode, _)| sockets.contains(inode))
        .map(|(_, far)| far)
        .filter(|far| far.port() != 0)
        .collect())
}

/// Inode and far end of a row of `/proc/net/tcp`.
fn row(row: &str) -> Option<(u64, SocketAddr)> {
    let columns: Vec<_> = row.split_whitespace().collect();
    let (address, port) = columns.get(2)?.split_once(':')?;
    // The address is a number as the machine keeps it in memory.
    let address = u32::from_str_radix(address, 16).ok()?.to_ne_bytes();
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((columns.get(9)?.parse().ok()?, SocketAddr::from((address, port))))
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, TcpStream},
        process,
    };

    use super::*;

    #[test]
    fn both_ends_of_a_connection_are_seen_while_it_is_open() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept().unwrap();
        let ends = [near.peer_addr().unwrap(), far.peer_addr().unwrap()];
        let seen = connections(process::id()).unwrap();
        assert!(ends.iter().all(|end| seen.contains(end)), "{seen:?}");
        drop(near);
        drop(far);
        let seen = connections(process::id()).unwrap();
        assert!(!ends.iter().any(|end| seen.contains(end)), "{seen:?}");
    }
}
