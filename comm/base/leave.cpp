#include "comm/base/leave.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdio>

namespace lockstep {

void flush_output() {
  spdlog::default_logger_raw()->flush();
  std::fflush(nullptr);
}

void leave_process(ExitCode code) {
  flush_output();
  _exit(static_cast<int>(code));
}

}  // namespace lockstep
