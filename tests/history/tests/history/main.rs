//! Histories that are right pass, histories that are wrong are refused with the reason.
