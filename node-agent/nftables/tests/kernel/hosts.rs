//! Network namespaces that stand for hosts on one LAN, 192.168.159.0/24, with what runs on them.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use socket2::{Domain, Socket, Type};

use crate::run;

pub(crate) const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 159, 110);
pub(crate) const SERVERS: [(&str, u8); 2] = [("web-1", 120), ("web-2", 121)];
/// Host parts of the client's addresses: as many clients as far as the director can see.
pub(crate) const CLIENTS: [u8; 4] = [50, 51, 52, 53];

pub(crate) fn address(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 159, host)
}

/// A LAN with a client, a director that has the VIP, and two real servers that have it on their loopbacks. The calling
/// thread moves to the director.
pub(crate) fn lan() {
    // The bridge is in a namespace with a name: one that no thread is in any more vanishes.
    run(
        "ip -all netns delete && ip netns add lan && ip -n lan link add lan type bridge forward_delay 0 && \
         ip -n lan link set lan up",
    );
    let mut hosts = vec![("client", CLIENTS[0]), ("director", 10)];
    hosts.extend(SERVERS);
    for (name, host) in hosts {
        run(&format!(
            "ip netns add {name} && ip -n lan link add {name} type veth peer name eth0 netns {name} && \
             ip -n lan link set {name} master lan up && ip -n {name} link set lo up && ip -n {name} link set eth0 up && \
             ip -n {name} address add {}/24 dev eth0",
            address(host)
        ));
    }
    for host in &CLIENTS[1..] {
        run(&format!(
            "ip -n client address add {}/24 dev eth0",
            address(*host)
        ));
    }
    run(&format!("ip -n director address add {VIP}/32 dev eth0"));
    for (name, _) in SERVERS {
        run(&format!(
            "ip netns exec {name} sysctl -q -w net.ipv4.conf.eth0.arp_ignore=1 net.ipv4.conf.eth0.arp_announce=2 && \
             ip -n {name} address add {VIP}/32 dev lo"
        ));
    }
    enter("director");
}

/// Moves the calling thread into a host.
pub(crate) fn enter(name: &str) {
    let namespace = File::open(format!("/run/netns/{name}")).unwrap();
    setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
}

/// Answers connections to a port of a host with the host's name, until the program ends.
pub(crate) fn serve(name: &'static str, port: u16) {
    let listener = thread::spawn(move || {
        enter(name);
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap()
    })
    .join()
    .unwrap();
    thread::spawn(move || {
        for connection in listener.incoming() {
            // A client that went away is none of the server's business.
            drop(connection.and_then(|mut connection| connection.write_all(name.as_bytes())));
        }
    });
}

/// Connects from one of the client's addresses to a port of the VIP and returns who answered. The calling thread is in
/// the client.
pub(crate) fn ask(host: u8, port: u16) -> Result<String, std::io::Error> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(IpAddr::V4(address(host)), 0).into())?;
    socket.connect_timeout(
        &SocketAddr::new(IpAddr::V4(VIP), port).into(),
        Duration::from_secs(5),
    )?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut name = String::new();
    stream.read_to_string(&mut name)?;
    Ok(name)
}

/// Runs something in a host, on a thread of its own, and returns what it returns.
pub(crate) fn on<T: Send + 'static>(
    name: &'static str,
    action: impl FnOnce() -> T + Send + 'static,
) -> T {
    thread::spawn(move || {
        enter(name);
        action()
    })
    .join()
    .unwrap()
}
