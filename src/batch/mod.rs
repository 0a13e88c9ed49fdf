//! Many moves together. Pure: [`queue`] decides which begins next, [`drain`] which jails leave a node and where they go.

pub mod drain;
pub mod queue;
