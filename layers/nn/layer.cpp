#include "layers/nn/layer.h"

#include <fmt/format.h>

#include <algorithm>

#include "comm/base/error.h"

namespace lockstep {

std::int64_t Layer::checked_elements(std::string_view suffix, const Dims& dims) const {
  constexpr std::int64_t most = std::int64_t{1} << 40;  // no machine's memory has room for more
  std::int64_t room = most;
  for (const std::int64_t dim : dims) room /= std::max<std::int64_t>(dim, 1);
  if (room > 0) return elements(dims);
  throw UsageError(fmt::format("layer '{}': its {} of shape {} would have more than {} values", name_, suffix,
                               to_string(dims), most));
}

void Layer::declare(std::string_view suffix, Dims dims, Parameter::Role role, std::int64_t fan_in,
                    double deviation) {
  checked_elements(suffix, dims);
  parameters_.push_back({.name = fmt::format("{}.{}", name_, suffix),
                         .dims = std::move(dims),
                         .role = role,
                         .fan_in = fan_in,
                         .deviation = deviation,
                         .start = {},
                         .offset = 0});
}

void Layer::declare_constant(std::string_view suffix, Dims dims, Parameter::Role role, double start) {
  declare(suffix, std::move(dims), role, 1);
  parameters_.back().start = start;
}

}  // namespace lockstep
