#include "trainer/data/images/limits.h"

#include <fmt/format.h>

#include "comm/base/error.h"

namespace lockstep {

void check_picture(const std::string& name, const SampleShape& shape, std::size_t bytes,
                   std::int64_t most_pixels, std::int64_t max_mib) {
  // No side has more than 31 bits, so nothing overflows.
  if (shape.pixels() / most_pixels > static_cast<std::int64_t>(bytes)) {
    throw DataError(
        fmt::format("{}: truncated: its header declares {}x{} pixels, more than {} bytes can hold", name,
                    shape.height, shape.width, bytes));
  }
  if (shape.pixels() > (max_mib << 20) / shape.channels) {
    throw DataError(fmt::format(
        "{}: its header declares {}x{} pixels of {} values, and data.max_mib allows {} MiB: raise it", name,
        shape.height, shape.width, shape.channels, max_mib));
  }
}

}  // namespace lockstep
