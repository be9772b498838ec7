#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "comm/base/error.h"
#include "comm/threads/threads.h"

namespace lockstep::test {

// What each of `size` workers made of `work`: an error's code and message, or nothing.
inline std::vector<std::string> outcomes(int size, const std::function<void(Communicator&)>& work) {
  std::vector<std::string> told(static_cast<std::size_t>(size));
  run_threads(size, [&](Communicator& comm) {
    try {
      work(comm);
    } catch (const CommError&) {
      throw;
    } catch (const Error& error) {
      told[static_cast<std::size_t>(comm.rank())] =
          fmt::format("{} {}", static_cast<int>(error.code()), error.what());
    }
  });
  return told;
}

}  // namespace lockstep::test
