fn main() {
    println!("cargo ok");
}
