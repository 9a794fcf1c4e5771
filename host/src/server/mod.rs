//! A running node: the threads and tasks around the driver's polled objects.
