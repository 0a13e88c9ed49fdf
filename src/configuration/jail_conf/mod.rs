//! jail.conf(5), token by token: read what a jail says of its network, and rewrite it for another host.
//!
//! The steps, one file each: [`token`] splits the text without losing a byte, [`tree`] finds statements and blocks,
//! [`value`] resolves variables and remembers where each character was written, [`matching`] finds what must change in
//! a value, [`rewrite`](mod@rewrite) edits those places and nothing else. [`extract`](mod@extract) makes a file of its own out of a
//! shared /etc/jail.conf, [`mod@include`] says what files that include others share, [`ways`](mod@ways) gives a jail routes at its start, [`list`] reads what `jail -e` prints.

pub mod extract;
pub mod fib;
pub mod finding;
pub mod include;
pub mod list;
pub mod matching;
pub mod on_host;
pub mod place;
pub mod rewrite;
pub mod token;
pub mod tree;
pub mod value;
pub mod ways;

pub use extract::Extracted;
pub use extract::extract;
pub use fib::add_fib;
pub use finding::Finding;
pub use list::epair_units;
pub use list::parse_list;
pub use matching::Rewrite;
pub use on_host::edit_script;
pub use place::Edit;
pub use rewrite::Change;
pub use rewrite::Rewritten;
pub use rewrite::apply;
pub use rewrite::inner_names;
pub use rewrite::rewrite;
pub use tree::SyntaxError;
pub use ways::NoWay;
pub use ways::Way;

#[cfg(test)]
mod tests;
