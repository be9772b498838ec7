#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "trainer/optim/optimizer.h"

namespace lockstep {

// A piece of the arena with what an optimizer does to it, all rules applied.
struct TreatedRange {
  std::size_t offset = 0;  // elements
  std::size_t count = 0;
  double lr_scale = 1;
  double weight_decay = 0;
};

// Weight decay is that of the configuration where a range decays or optimizer.decay_all is set, else 0. Over
// that go optimizer.rules: of those that fit a range's name and have the value, the last.
std::vector<TreatedRange> treat(const OptimizerConfig& config, const std::vector<ParameterRange>& ranges);

// Whether the rule's pattern fits the whole of the name: `*` stands for any characters (dots too), `?` for
// one, `[…]` for one of several.
bool fits(const OptimizerRule& rule, const std::string& name);

}  // namespace lockstep
