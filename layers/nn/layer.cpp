#include "layers/nn/layer.h"

#include <fmt/format.h>

namespace lockstep {

void Layer::declare(std::string_view suffix, Dims dims, Parameter::Role role, std::int64_t fan_in) {
  parameters_.push_back({.name = fmt::format("{}.{}", name_, suffix),
                         .dims = std::move(dims),
                         .role = role,
                         .fan_in = fan_in,
                         .offset = 0});
}

}  // namespace lockstep
