//! Histories that are right pass, histories that are wrong are refused with the reason.

mod build; // histories by hand
mod command; // the program
mod generate; // histories of a real register
mod mutated; // generated ones with one thing changed
mod naive; // a search without any cleverness, to compare with
mod random; // seeds
mod right; // by hand, and right
mod wrong; // by hand, and wrong in a way that has a name
