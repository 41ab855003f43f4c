//! The admin API, black box: what it says, who may change something, and how it stands up to bad input.

mod access;
mod command;
mod hostile;
mod openapi;
mod sessions;
mod stages;
