/// Doubles.
///
/// ```
/// assert_eq!(everyday::double(21), 42);
/// ```
pub fn double(n: u64) -> u64 {
    n * 2
}

#[test]
fn doubles() {
    assert_eq!(double(21), 42);
}
