#pragma once

// A function that nvcc compiles for GPUs as well as for the host, and every other compiler for the host
// alone.
#ifdef __CUDACC__
#define LOCKSTEP_HOST_DEVICE __host__ __device__
#else
#define LOCKSTEP_HOST_DEVICE
#endif
