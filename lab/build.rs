//! Links the lab where it is loaded: every emulated command is a start of it, and a program that is not moved about
//! (PIE) has half as many pages to touch before it begins.

fn main() {
    println!("cargo::rustc-link-arg-bins=-no-pie");
    println!("cargo::rerun-if-changed=build.rs");
}
