#include "trainer/loop/own_process.h"

#include <sys/resource.h>
#include <unistd.h>

#include <ctime>
#include <fstream>
#include <sstream>
#include <string>

namespace lockstep {
namespace {

// Of /proc/self/stat: what comes behind the program's name, which may hold anything, parentheses too.
std::istringstream own_status() {
  std::string text;
  std::getline(std::ifstream("/proc/self/stat"), text, '\0');
  return std::istringstream(text.substr(text.rfind(')') + 1));
}

}  // namespace

std::int64_t peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return std::int64_t{usage.ru_maxrss} * 1024;
}

double seconds_since_process_start() {
  constexpr int fields_before = 19;  // proc(5): starttime is field 22, the name field 2
  std::istringstream status = own_status();
  std::string field;
  for (int skipped = 0; skipped < fields_before; ++skipped) status >> field;
  double start = 0;
  status >> start;
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  const auto ticks_per_second = static_cast<double>(sysconf(_SC_CLK_TCK));
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9 - start / ticks_per_second;
}

}  // namespace lockstep
