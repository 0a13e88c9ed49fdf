//! jailferry
