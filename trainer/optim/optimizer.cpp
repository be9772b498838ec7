#include "trainer/optim/optimizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "trainer/optim/adamw.h"
#include "trainer/optim/rules.h"
#include "trainer/optim/sgd.h"

namespace lockstep {
namespace {

void check_ranges(std::vector<ParameterRange> ranges, std::size_t arena) {
  std::ranges::sort(ranges, {}, &ParameterRange::offset);
  std::size_t end = 0;
  for (const ParameterRange& range : ranges) {
    if (range.offset < end || range.offset > arena || range.count > arena - range.offset) {
      throw std::logic_error(fmt::format(
          "parameter range '{}' overlaps another or leaves the arena of {} elements", range.name, arena));
    }
    end = range.offset + range.count;
  }
}

}  // namespace

void check_arenas(std::span<const float> parameters, std::span<const float> gradients, std::size_t arena) {
  if (parameters.size() != arena || gradients.size() != arena) {
    throw std::logic_error(fmt::format("an optimizer made for {} parameters was given {} and {} gradients",
                                       arena, parameters.size(), gradients.size()));
  }
}

std::size_t state_arenas(const OptimizerConfig& config) {
  return config.name == OptimizerConfig::Name::adamw ? 2 : 1;
}

std::unique_ptr<Optimizer> make_optimizer(const OptimizerConfig& config,
                                          const std::vector<ParameterRange>& ranges, std::size_t arena,
                                          const Device& device) {
  check_ranges(ranges, arena);
  switch (config.name) {
    case OptimizerConfig::Name::sgd:
      return std::make_unique<Sgd>(config, treat(config, ranges), arena, device);
    case OptimizerConfig::Name::adamw:
      return std::make_unique<AdamW>(config, treat(config, ranges), arena, device);
  }
  throw std::logic_error("unknown optimizer");
}

}  // namespace lockstep
