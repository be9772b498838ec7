#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "comm/base/error.h"

namespace lockstep {

// As if an Open MPI launcher had started this process.
class UnderLauncher {
 public:
  UnderLauncher(int rank, int size) {
    setenv("OMPI_COMM_WORLD_RANK", std::to_string(rank).c_str(), 1);
    setenv("OMPI_COMM_WORLD_SIZE", std::to_string(size).c_str(), 1);
  }
  ~UnderLauncher() {
    unsetenv("OMPI_COMM_WORLD_RANK");
    unsetenv("OMPI_COMM_WORLD_SIZE");
  }
  UnderLauncher(const UnderLauncher&) = delete;
  UnderLauncher& operator=(const UnderLauncher&) = delete;
};

// What a call writes on standard output.
template <class Call>
std::string output_of(Call call) {
  testing::internal::CaptureStdout();
  call();
  return testing::internal::GetCapturedStdout();
}

// What a call writes on standard error.
template <class Call>
std::string errors_of(Call call) {
  testing::internal::CaptureStderr();
  call();
  return testing::internal::GetCapturedStderr();
}

// What the UsageError that a call throws says; "" where it throws none.
template <class Call>
std::string refusal_of(Call call) {
  try {
    call();
    return "";
  } catch (const UsageError& error) {
    return error.what();
  }
}

}  // namespace lockstep
