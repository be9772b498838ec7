#include "trainer/cli/workers_option.h"

#include <limits>

namespace lockstep {

Option workers_option() {
  return {"workers", "N", "threads of this process that train together (default 1); not under a launcher"};
}

std::optional<int> requested_workers(const Arguments& arguments) {
  if (!arguments.has("workers")) return std::nullopt;
  return static_cast<int>(arguments.integer("workers", 1, 1, std::numeric_limits<int>::max()));
}

}  // namespace lockstep
