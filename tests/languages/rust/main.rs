use std::{fs, process::Command, sync::mpsc, thread};

fn main() {
    let (send, receive) = mpsc::channel();
    for n in 0..8u64 {
        let send = send.clone();
        thread::spawn(move || send.send(n * n).unwrap());
    }
    drop(send);
    assert_eq!(receive.iter().sum::<u64>(), 140);
    fs::write("out.txt", "hello").unwrap();
    assert_eq!(fs::read_to_string("out.txt").unwrap(), "hello");
    let out = Command::new("sh").args(["-c", "echo $((6 * 7))"]).output().unwrap();
    assert_eq!(out.stdout, b"42\n");
    println!("rust ok");
}
