#include "trainer/optim/rules.h"

#include <fnmatch.h>

namespace lockstep {

std::vector<TreatedRange> treat(const OptimizerConfig& config, const std::vector<ParameterRange>& ranges) {
  std::vector<TreatedRange> treated;
  treated.reserve(ranges.size());
  for (const ParameterRange& range : ranges) {
    TreatedRange it{.offset = range.offset, .count = range.count};
    if (range.decays || config.decay_all) it.weight_decay = config.weight_decay;
    for (const OptimizerRule& rule : config.rules) {
      if (!fits(rule, range.name)) continue;
      it.lr_scale = rule.lr_scale.value_or(it.lr_scale);
      it.weight_decay = rule.weight_decay.value_or(it.weight_decay);
    }
    treated.push_back(it);
  }
  return treated;
}

bool fits(const OptimizerRule& rule, const std::string& name) {
  return ::fnmatch(rule.match.c_str(), name.c_str(), FNM_NOESCAPE) == 0;
}

}  // namespace lockstep
