use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::thread;

use proptest::prelude::*;
use socket2::{Domain, Socket, Type};

use super::*;

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(10);

/// A server that answers one connection with `answer` once it has read `request` bytes, and then
/// keeps the connection open until the client goes.
fn serve(
    request: usize,
    answer: &'static [u8],
    close: bool,
) -> (SocketAddr, thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let to = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut received = vec![0; request];
        stream.read_exact(&mut received).unwrap();
        // The client may have seen enough and gone.
        let _ = stream.write_all(answer);
        if !close {
            let _ = stream.read(&mut [0; 1]);
        }
        received
    });
    (to, server)
}

#[tokio::test]
async fn a_listening_port_is_up_although_nobody_accepts() {
    for localhost in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()] {
        let listener = TcpListener::bind(SocketAddr::new(localhost, 0)).unwrap();
        let to = listener.local_addr().unwrap();
        assert_eq!(run(to, b"", b"", LONG).await, Ok(()));
    }
}

#[tokio::test]
async fn a_closed_port_is_refused_at_once() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let to = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(run(to, b"", b"", LONG).await, Err(Failure::Refused));
}

#[tokio::test]
async fn a_server_that_does_not_answer_the_syn_is_silent() {
    // With its queue of connections full, the kernel drops a further SYN, as a dead host would.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let to = socket.local_addr().unwrap().as_socket().unwrap();
    let _queued = std::net::TcpStream::connect(to).unwrap();
    let started = Instant::now();
    assert_eq!(
        run(to, b"", b"", SHORT).await,
        Err(Failure::NoAnswer(SHORT))
    );
    assert!(started.elapsed() >= SHORT);
}

#[tokio::test]
async fn the_probe_leaves_no_connection_in_time_wait() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let to = listener.local_addr().unwrap();
    assert_eq!(run(to, b"", b"", LONG).await, Ok(()));
    let (mut stream, peer) = listener.accept().unwrap();
    let end = stream.read(&mut [0; 1]).map_err(|error| error.kind());
    assert_eq!(end, Err(std::io::ErrorKind::ConnectionReset));
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{:04X} ", peer.port());
    let time_wait = table
        .lines()
        .filter(|line| line.contains(&port) && line.contains(" 06 "));
    assert_eq!(time_wait.count(), 0);
}

#[tokio::test]
async fn a_banner_is_awaited() {
    let (to, server) = serve(0, b"220 mail.example.org ESMTP\r\n", false);
    assert_eq!(run(to, b"", b"220", LONG).await, Ok(()));
    server.join().unwrap();
}

#[tokio::test]
async fn a_request_is_sent_and_its_answer_searched() {
    let (to, server) = serve(18, b"HTTP/1.0 200 OK\r\n\r\nhello", true);
    assert_eq!(
        run(to, b"GET / HTTP/1.0\r\n\r\n", b"200 OK", LONG).await,
        Ok(())
    );
    assert_eq!(server.join().unwrap(), b"GET / HTTP/1.0\r\n\r\n");
}

#[tokio::test]
async fn another_answer_is_quoted() {
    let (to, server) = serve(0, b"554 no service\r\n", true);
    let failure = run(to, b"", b"220", LONG).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "answer does not contain \"220\"; got \"554 no service\\r\\n\""
    );
    server.join().unwrap();
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_told_from_no_connection() {
    let (to, server) = serve(0, b"2", false);
    let failure = run(to, b"", b"220", Duration::from_secs(1))
        .await
        .unwrap_err();
    assert_eq!(
        failure.to_string(),
        "connected, but no \"220\" in 1000 ms; got \"2\""
    );
    server.join().unwrap();
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    static NOISE: [u8; 100_000] = [b'x'; 100_000];
    let (to, server) = serve(0, &NOISE, true);
    let failure = run(to, b"", b"220", LONG).await.unwrap_err();
    assert!(matches!(failure, Failure::Unexpected { .. }), "{failure}");
    server.join().unwrap();
}

proptest! {
    #[test]
    fn bytes_that_come_in_any_pieces_are_found(
        before in proptest::collection::vec(0_u8..3, 0..20),
        expect in proptest::collection::vec(0_u8..3, 1..5),
        after in proptest::collection::vec(0_u8..3, 0..20),
        pieces in proptest::collection::vec(1_usize..6, 60),
    ) {
        let answer = [before, expect.clone(), after].concat();
        let (mut searched, mut length, mut found) = (0, 0, false);
        for piece in pieces {
            length = answer.len().min(length + piece);
            found |= contains(&answer[..length], &expect, searched);
            searched = length;
        }
        prop_assert!(found);
    }
}
