// Our own operations for GPUs give what the processor's give: sums to 1e-5 of the largest value, and what is
// done to each element by itself (poolings and the steps of optimizers too) to the bit.
#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "layers/loss/softmax_cross_entropy.h"
#include "layers/ops/elementwise.h"
#include "layers/ops/kernels.h"
#include "layers/ops/memory.h"
#include "layers/ops/norm.h"
#include "tests/support/tested_device.h"
#include "tests/unit/ops/agreement.h"

namespace lockstep::test {
namespace {

struct AgreementTest : ComputeTest {};

constexpr KernelShape shape{.samples = agreement_samples};

void expect_same(const Kernel& there, const Kernel& here, const Trial& trial, const std::string& what) {
  EXPECT_TRUE(same_bits(run(there, trial), run(here, trial))) << what;
}

TEST_F(AgreementTest, OfPoolingsToTheBit) {
  const SampleShape in{9, 8, 20};
  const std::vector<Pooling> all{{Pooling::Kind::max, in, {5, 4, 20}, 3, 2, 1},
                                 {Pooling::Kind::average, in, {5, 4, 20}, 3, 2, 1},
                                 {Pooling::Kind::max, in, {4, 4, 20}, 2, 2, 0},
                                 {Pooling::Kind::average, in, {4, 4, 20}, 2, 2, 0}};
  for (const Pooling& pooling : all) {
    expect_same(*tested::make_pooling(pooling, shape), *make_pooling(pooling, shape),
                trial_of(in, pooling.out), "a window of " + std::to_string(pooling.window));
  }
}

TEST_F(AgreementTest, OfGlobalAveragePooling) {
  const SampleShape in{7, 7, 50};
  expect_agreement("global average pooling", *tested::make_global_average_pooling(in, shape),
                   *make_global_average_pooling(in, shape), trial_of(in, {1, 1, 50}));
}

TEST_F(AgreementTest, OfReluAddFlattenAndDropoutToTheBit) {
  const SampleShape in{7, 6, 35};
  const Trial two = trial_of(in, in, {}, 2);
  const Trial one = trial_of(in, in);
  expect_same(*tested::make_relu(in, shape), *make_relu(in, shape), one, "relu");
  expect_same(*tested::make_add(in, shape), *make_add(in, shape), two, "add");
  expect_same(*tested::make_flatten(in, shape), *make_flatten(in, shape), one, "flatten");
  const Random random(3, "dropout");
  expect_same(*tested::make_dropout(in, 0.25F, random, shape), *make_dropout(in, 0.25F, random, shape), one,
              "dropout");
}

// All passes of batch_norm over elements E, each from the same input on both.
template <class E>
void expect_norm_agrees(std::int64_t rows, std::int64_t channels) {
  SCOPED_TRACE(std::to_string(rows) + "x" + std::to_string(channels));
  const auto size = static_cast<std::size_t>(rows * channels);
  const auto width = static_cast<std::size_t>(channels);
  const auto elements = [&](const char* name) { return PlacedAs<E>(random_values(size, name), 0); };
  const auto constants = [&](const char* name) { return random_values(width, name); };
  const auto x = elements("x");
  const auto residual = elements("residual");
  const auto dy = elements("dy");
  const Values mean = constants("mean"), deviation = constants("deviation"), scale = constants("scale"),
               shift = constants("shift");
  const norm::Affine affine{mean, deviation, scale, shift};

  std::vector<double> there(2 * width), here(2 * width);
  tested::norm::moments(x.data(), rows, channels, there.data());
  norm::moments(x.data(), rows, channels, here.data());
  expect_near(there, here, "moments");

  const PlacedAs<E> out_there(size, 0), out_here(size, 0);
  const auto expect_same_outputs = [&](const char* what) {
    EXPECT_TRUE(same_bits(out_there.values(), out_here.values())) << what;
  };
  for (const bool with_residual : {false, true}) {
    for (const bool relu : {false, true}) {
      SCOPED_TRACE(std::string(with_residual ? "residual" : "") + (relu ? " relu" : ""));
      const E* const other = with_residual ? residual.data() : nullptr;
      tested::norm::normalize(x.data(), other, relu, affine, rows, channels, out_there.data());
      norm::normalize(x.data(), other, relu, affine, rows, channels, out_here.data());
      expect_same_outputs("normalize");

      const auto dy_there = elements("dy"), dy_here = elements("dy");
      const auto passed_on_there = elements("passed on"), passed_on_here = elements("passed on");
      tested::norm::backward_sums(x.data(), out_here.data(), dy_there.data(), relu, with_residual, affine,
                                  rows, channels, with_residual ? passed_on_there.data() : nullptr, relu,
                                  there.data());
      norm::backward_sums(x.data(), out_here.data(), dy_here.data(), relu, with_residual, affine, rows,
                          channels, with_residual ? passed_on_here.data() : nullptr, relu, here.data());
      expect_near(there, here, "backward_sums");
      EXPECT_TRUE(same_bits(dy_there.values(), dy_here.values())) << "masked dy";
      EXPECT_TRUE(same_bits(passed_on_there.values(), passed_on_here.values())) << "residual's gradient";
    }
  }
  const std::span<const double> sums(here);
  for (const bool masked : {false, true}) {
    SCOPED_TRACE(masked ? "masked" : "");
    const norm::GroupSums group{sums.first(width), sums.last(width), rows};
    tested::norm::backward_apply(x.data(), dy.data(), masked, affine, group, rows, channels,
                                 out_there.data());
    norm::backward_apply(x.data(), dy.data(), masked, affine, group, rows, channels, out_here.data());
    expect_same_outputs("backward_apply");
    tested::norm::backward_frozen(x.data(), dy.data(), masked, affine, rows, channels, out_there.data());
    norm::backward_frozen(x.data(), dy.data(), masked, affine, rows, channels, out_here.data());
    expect_same_outputs("backward_frozen");
  }
}

TEST_F(AgreementTest, OfBatchNorm) {
  for (const auto& [rows, channels] : std::vector<std::pair<std::int64_t, std::int64_t>>{
           {1, 7}, {2048, 16}, {320, 64}, {49, 512}, {1031, 3}}) {
    expect_norm_agrees<float>(rows, channels);
    expect_norm_agrees<Bf16>(rows, channels);
  }
}

TEST_F(AgreementTest, OfTheLoss) {
  for (const std::int64_t classes : {2, 10, 1000}) {
    const std::int64_t samples = 37;
    const Values logits = random_values(samples * classes, "logits");
    std::vector<std::int32_t> labels(samples);
    for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int32_t>(i * 7 % classes);
    for (const double smoothing : {0.0, 0.1}) {
      Values there(logits.size()), here(logits.size());
      const LossSums found = tested::softmax_cross_entropy(logits, labels, classes, smoothing, 100, there);
      const LossSums expected = softmax_cross_entropy(logits, labels, classes, smoothing, 100, here);
      EXPECT_NEAR(found.loss, expected.loss, 1e-12 * expected.loss);
      EXPECT_EQ(found.correct, expected.correct);
      expect_near(there, here, "gradient");
    }
  }
}

TEST_F(AgreementTest, OfWhatIsDoneToArrays) {
  const Values values = random_values(100'003, "values");
  EXPECT_EQ(tested::sum_of_squares(values), sum_of_squares(values));
  for (const float other : {1.0F, std::numeric_limits<float>::infinity(), std::nanf("")}) {
    Values some = values;
    some[99'000] = other;
    EXPECT_EQ(tested::all_finite(some), all_finite(some)) << other;
  }
  Values there = values, here = values;
  const Values addend = random_values(values.size(), "addend");
  tested::add_into(there, addend);
  add_into(here, addend);
  EXPECT_TRUE(same_bits(there, here));
  std::vector<Bf16> narrow_there(values.size()), narrow_here(values.size());
  tested::convert(values, narrow_there);
  convert(values, narrow_here);
  tested::convert(narrow_there, std::span(there));
  convert(narrow_here, std::span(here));
  EXPECT_TRUE(same_bits(there, here));
}

// Steps of the optimizers on `device`, from the same values.
std::vector<Values> stepped(const Device& device) {
  device.enter();
  const Values gradients = random_values(10'001, "g");
  std::vector<Values> all;
  const auto on_device = [&](const Values& values) {
    lockstep::Memory memory(device, values.size() * sizeof(float));
    device.copy_in(memory.data(), values.data(), memory.size());
    return memory;
  };
  const auto keep = [&](const lockstep::Memory& memory) {
    all.emplace_back(gradients.size());
    device.wait();
    device.copy_out(all.back().data(), memory.data(), memory.size());
  };
  const lockstep::Memory g = on_device(gradients);
  const auto count = static_cast<std::int64_t>(gradients.size());
  for (const bool nesterov : {false, true}) {
    const lockstep::Memory p = on_device(random_values(gradients.size(), "p"));
    const lockstep::Memory buffer = on_device(random_values(gradients.size(), "buffer"));
    device.update_sgd(p.data<float>(), g.data<float>(), buffer.data<float>(), nesterov, {0.1F, 0.9F, 0.01F},
                      count);
    device.update_sgd(p.data<float>(), g.data<float>(), nullptr, nesterov, {0.1F, 0.9F, 0.01F}, count);
    device.scale({p.data<float>(), gradients.size()}, 0.7F);
    keep(p);
    keep(buffer);
  }
  const lockstep::Memory p = on_device(random_values(gradients.size(), "p"));
  const lockstep::Memory mean = on_device(random_values(gradients.size(), "mean"));
  Values squares = random_values(gradients.size(), "square");
  for (float& square : squares) square = std::abs(square);
  const lockstep::Memory square = on_device(squares);
  device.update_adamw(p.data<float>(), g.data<float>(), mean.data<float>(), square.data<float>(),
                      {0.99F, 0.1F, 0.999F, 0.001F, 0.01F, 0.5F, 1e-8F}, count);
  for (const lockstep::Memory* const memory : {&p, &mean, &square}) keep(*memory);
  return all;
}

TEST_F(AgreementTest, OfOptimizersToTheBit) {
  EXPECT_TRUE(same_bits(stepped(*tested_device()), stepped(host())));
}

// Of gradients, along the fixed tree: three of its nodes, and five shards of this worker.
std::vector<Values> folded(const Device& device) {
  device.enter();
  constexpr std::size_t count = 3001;
  constexpr std::int64_t leaves = 5;
  const Values values = random_values(leaves * count, "leaves");
  const lockstep::Memory memory(device, values.size() * sizeof(float));
  const auto result = [&](const float* from) {
    Values found(count);
    device.wait();
    device.copy_out(found.data(), from, count * sizeof(float));
    return found;
  };
  const auto bring = [&] { device.copy_in(memory.data(), values.data(), memory.size()); };
  std::vector<Values> all;
  const auto out = device.floats(count);
  bring();
  device.fold_sums(memory.data<float>(), count, leaves, count, out.get());
  all.push_back(result(out.get()));
  bring();
  const std::vector<Part<float>> parts{{{0, 2}, memory.data<float>()},
                                       {{2, 3}, memory.data<float>() + count},
                                       {{3, 4}, memory.data<float>() + 2 * count}};
  device.fold({0, 4}, parts, out.get(), count);
  all.push_back(result(out.get()));
  device.copy(out.get(), memory.data<float>(), count);
  all.push_back(result(memory.data<float>()));
  return all;
}

TEST_F(AgreementTest, OfFoldsToTheBit) {
  EXPECT_TRUE(same_bits(folded(*tested_device()), folded(host())));
}

}  // namespace
}  // namespace lockstep::test
