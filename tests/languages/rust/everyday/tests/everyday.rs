//! What popular packages stand on: each test is one need.
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::{env, fs, panic, thread, time::Duration};

#[test]
fn servers_on_loopback() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let answering = thread::spawn(move || server.accept().unwrap().0.write_all(b"served").unwrap());
    let mut text = String::new();
    TcpStream::connect(address).unwrap().read_to_string(&mut text).unwrap();
    answering.join().unwrap();
    assert_eq!(text, "served");
    UdpSocket::bind("127.0.0.1:0").unwrap().set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let (mut one, mut other) = UnixStream::pair().unwrap();
    one.write_all(b"x").unwrap();
    other.read_exact(&mut [0]).unwrap();
    UnixDatagram::unbound().unwrap();
}

#[test]
fn processes_and_pipes() {
    let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"piped").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"piped");
    let mut sleeping = Command::new("sleep").arg("1000").spawn().unwrap();
    sleeping.kill().unwrap();
    assert!(!sleeping.wait().unwrap().success());
}

#[test]
fn threads_that_wait_for_each_other() {
    let shared = Arc::new((Mutex::new(0), Condvar::new(), Barrier::new(8)));
    for _ in 0..8 {
        let shared = shared.clone();
        thread::spawn(move || {
            shared.2.wait();
            *shared.0.lock().unwrap() += 1;
            shared.1.notify_all();
        });
    }
    let all = shared.1.wait_while(shared.0.lock().unwrap(), |n| *n < 8).unwrap();
    assert_eq!(*all, 8);
    assert!(panic::catch_unwind(|| panic!("caught")).is_err());
    assert!(thread::available_parallelism().is_ok());
}

#[test]
fn files() {
    let folder = env::temp_dir().join("everyday");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("one"), "text").unwrap();
    fs::copy(folder.join("one"), folder.join("two")).unwrap(); // copy_file_range
    fs::hard_link(folder.join("two"), folder.join("three")).unwrap();
    fs::rename(folder.join("three"), folder.join("four")).unwrap();
    assert_eq!(fs::read_to_string(folder.join("four")).unwrap(), "text");
    fs::remove_dir_all(&folder).unwrap();
    fs::canonicalize(".").unwrap();
}
