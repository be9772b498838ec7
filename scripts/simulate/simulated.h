#pragma once

// Where the code under simulation meets what SimGrid cannot see through. comm/ itself is compiled as it is;
// the linker
// (--wrap, CMakeLists.txt) sends four of its calls here.
namespace simulated {

// Polling would cost the simulation all its time. So an exchange that is polled and has not finished waits
// here until it has, in virtual time, unless the worker only looks, as it does between two pieces of
// computing.
void only_look(bool looks);

// From here on all pieces of memory of 64 KiB and more are one and the same, for all workers: what is in them
// is nonsense, what is sent is as large as it should be. Collective in the sense that there is one process.
void share_large_memory();

// Seconds of virtual time.
double now();
void compute(double seconds);

}  // namespace simulated
