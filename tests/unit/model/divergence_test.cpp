// Which layer and which parameter are named where something is no longer finite: on all workers the same, the
// first of the network.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "layers/ops/processor.h"
#include "tests/unit/model/contract.h"

namespace lockstep::testing {
namespace {

constexpr const char* in_fc1 = "step 1: the output of layer 'fc1' is not finite, the first such layer";
constexpr const char* in_fc2 = "step 1: the output of layer 'fc2' is not finite, the first such layer";

// Without batch norms, whose statistics would tell.
ModelOptions plain_network() {
  ModelOptions options = contract_network();
  options.spec.layers = {{"flatten", FlattenSpec{}}, {"fc1", LinearSpec{.out = 4}},
                         {"relu1", ReluSpec{}},      {"fc2", LinearSpec{.out = 4}},
                         {"relu2", ReluSpec{}},      {"fc3", LinearSpec{.out = 3}}};
  return options;
}

Data plain_data() {
  return contract_data(13);
}

void fill(Model& model, const std::string& name, float value) {
  std::ranges::fill(values_of(model, name), value);
}

TEST(Divergence, OfALossNamesTheLayerWhereItBegan) {
  EXPECT_EQ(what_diverged(plain_network(), {plain_data()},
                          [](Model& model) { values_of(model, "fc2.weight")[1] = NAN; }),
            in_fc2);
}

// The last shard's sample is too large for the first layer, the first shard's for the second.
TEST(Divergence, OfSeveralShardsNamesTheFirstLayerOfAll) {
  Data data = plain_data();
  const auto sample = static_cast<std::size_t>(plain_network().input.elements());
  std::fill_n(data.images.begin(), sample, 1e20F);
  std::fill_n(data.images.end() - static_cast<std::ptrdiff_t>(sample), sample, 3e38F);
  const auto positive = [](Model& model) {
    fill(model, "fc1.weight", 1);
    fill(model, "fc2.weight", 1e20F);
  };
  EXPECT_EQ(what_diverged(plain_network(), {data}, positive), in_fc1);
  std::fill_n(data.images.end() - static_cast<std::ptrdiff_t>(sample), sample, 0.0F);
  EXPECT_EQ(what_diverged(plain_network(), {data}, positive), in_fc2);
}

TEST(Divergence, OfBf16IsFoundToo) {
  if (!computes_in(Element::bf16)) GTEST_SKIP() << "not on this processor";
  ModelOptions options = plain_network();
  options.training = Element::bf16;
  EXPECT_EQ(
      what_diverged(options, {plain_data()}, [](Model& model) { values_of(model, "fc2.weight")[1] = NAN; }),
      in_fc2);
}

// Both weights' gradients overflow, while all activations are finite.
TEST(Divergence, OfGradientsNamesTheLayerNearestToTheLoss) {
  Data data = plain_data();
  std::ranges::fill(data.images, 1e30F);
  const auto steep = [](Model& model) {
    fill(model, "fc1.weight", 0);
    fill(model, "fc1.bias", 1e20F);
    fill(model, "fc2.weight", 1e-10F);
    fill(model, "fc3.weight", 0);
    std::fill_n(values_of(model, "fc3.weight").begin(), 4, 1e20F);  // of the first class
  };
  EXPECT_EQ(what_diverged(plain_network(), {data}, steep),
            "step 1: the gradient of 'fc2.weight' is not finite");
}

TEST(Divergence, OfAllWeightsNamesTheFirstLayers) {
  Model model(plain_network(), 1, 0);
  EXPECT_EQ(model.first_not_finite(model.device_arena()), "");
  for (const char* name : {"fc3.bias", "fc2.weight", "fc1.bias", "fc1.weight"}) {
    fill(model, name, NAN);
    EXPECT_EQ(model.first_not_finite(model.device_arena()), name);
  }
}

TEST(Divergence, OfAnEvaluationNamesTheLayerOnAllWorkers) {
  ModelOptions options = contract_network();
  for (int workers = 1; workers <= 3; ++workers) {
    run_threads(workers, [&](Communicator& comm) {
      Model model(options, comm.size(), comm.rank());
      model.initialize();
      values_of(model, "bn.running_var")[1] = NAN;
      const WorkerBatch batch(model.layout(), options.input, plain_data());
      EXPECT_TRUE(std::isfinite(model.evaluate_by_batch(comm, batch.input()).loss));
      std::string mine;
      try {
        model.evaluate(comm, batch.input());
      } catch (const DivergedError& error) {
        mine = error.what();
      }
      EXPECT_EQ(mine, "the output of layer 'bn' is not finite, the first such layer");
      values_of(model, "conv.weight")[0] = NAN;
      EXPECT_THROW(model.evaluate_by_batch(comm, batch.input()), DivergedError);
    });
  }
}

}  // namespace
}  // namespace lockstep::testing
