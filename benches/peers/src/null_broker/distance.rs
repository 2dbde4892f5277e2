//! A proxy that has bytes wait before it hands them on, as a long way does. It holds up none for another.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

/// Listens on a port of its own for connections to `target`, each way of which takes `delay`. Returns the port.
pub fn proxy(target: SocketAddr, delay: Duration) -> io::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            if let Err(error) = connect(client, target, delay) {
                eprintln!("proxy: {error}");
            }
        }
    });
    Ok(port)
}

fn connect(client: TcpStream, target: SocketAddr, delay: Duration) -> io::Result<()> {
    let broker = TcpStream::connect(target)?;
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    one_way(client.try_clone()?, broker.try_clone()?, delay);
    one_way(broker, client, delay);
    Ok(())
}

/// What has been read, and when it is there.
type Piece = (Instant, Vec<u8>);

fn one_way(mut from: TcpStream, to: TcpStream, delay: Duration) {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || read(&mut from, &sender, delay));
    std::thread::spawn(move || write(to, &receiver));
}

fn read(from: &mut TcpStream, pieces: &Sender<Piece>, delay: Duration) {
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if pieces.send((Instant::now() + delay, buffer[..length].to_vec())).is_err() {
            break;
        }
    }
}

fn write(mut to: TcpStream, pieces: &Receiver<Piece>) {
    for (due, bytes) in pieces {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    // The other way ends, too, once the other side has closed.
    drop(to.shutdown(Shutdown::Write));
}
