#include "trainer/loop/setup.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

namespace lockstep {
namespace {

// The parameters by role that an update without gradients moves: those that decay.
std::map<Parameter::Role, bool> moved_by_decay(bool decay_all) {
  Config config;
  config.model = {.name = "mlp", .layers = {}, .hidden = {6}};
  config.optimizer.weight_decay = 0.5;
  config.optimizer.decay_all = decay_all;
  Model model(model_options(config, {{4, 4, 1}, 3}), 1, 0);
  std::ranges::fill(model.arena(), 1.0F);
  const std::vector<float> no_gradients(model.arena().size());
  make_optimizer(config, model)->update(model.arena(), no_gradients, 0.1, 0);

  std::map<Parameter::Role, bool> moved;
  for (const Parameter& parameter : model.parameters()) {
    moved[parameter.role] |= model.arena()[parameter.offset] != 1.0F;
  }
  return moved;
}

TEST(MakeOptimizer, DecaysWeightsAloneUnlessAsked) {
  using enum Parameter::Role;
  const std::map<Parameter::Role, bool> weights_alone{
      {weight, true}, {bias, false}, {norm_scale, false}, {norm_shift, false}};
  EXPECT_EQ(moved_by_decay(false), weights_alone);
  const std::map<Parameter::Role, bool> all{
      {weight, true}, {bias, true}, {norm_scale, true}, {norm_shift, true}};
  EXPECT_EQ(moved_by_decay(true), all);
}

}  // namespace
}  // namespace lockstep
