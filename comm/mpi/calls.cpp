#include "comm/mpi/calls.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <string_view>

#include "comm/base/error.h"

namespace lockstep {

std::string error_text(int result) {
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(result, text.data(), &length);
  return fmt::format("MPI: {}", std::string_view(text.data(), static_cast<std::size_t>(length)));
}

void require(int result) {
  if (result != MPI_SUCCESS) throw CommError(error_text(result));
}

int as_int(std::size_t bytes) {
  constexpr auto most = static_cast<std::size_t>(std::numeric_limits<int>::max());
  if (bytes > most) {
    throw CommError(
        fmt::format("{} bytes in one call, MPI counts to {}: send it in pieces (for gradients, "
                    "a smaller comm.bucket_mib)",
                    bytes, most));
  }
  return static_cast<int>(bytes);
}

}  // namespace lockstep
