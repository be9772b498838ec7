// A network on a device of its own gives what the processor gives: on a double of a GPU, whose memory nobody
// may touch but kernels and copies, and, as gpu_networks, on a GPU.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <string>
#include <string_view>

#include "layers/ops/memory.h"
#include "layers/ops/processor.h"
#include "tests/support/tested_device.h"
#include "tests/unit/model/steps.h"

namespace lockstep::testing {
namespace {

const std::vector<std::int64_t> batches{16, 13, 5, 2};

ModelOptions on(std::shared_ptr<const Device> device, ModelOptions options) {
  options.device = std::move(device);
  return options;
}

std::span<const float> floats(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const float*>(bytes.data()), bytes.size() / sizeof(float)};
}

using Tensors = std::map<std::string, std::vector<std::byte>>;

double largest(const std::vector<std::byte>& bytes) {
  double most = 0;
  for (const float value : floats(bytes)) most = std::max(most, std::abs(static_cast<double>(value)));
  return most;
}

// Differences in units of the tensor's largest value, or of `least` where that is more.
void expect_near(const Tensors& expected, const Tensors& found, double least, double tolerance) {
  ASSERT_EQ(found.size(), expected.size());
  for (const auto& [name, bytes] : expected) {
    if (name.ends_with("num_batches_tracked")) {
      EXPECT_EQ(found.at(name), bytes) << name;
      continue;
    }
    const double unit = std::max(largest(bytes), least);
    for (std::size_t i = 0; i < floats(bytes).size(); ++i) {
      ASSERT_NEAR(floats(found.at(name))[i], floats(bytes)[i], tolerance * unit) << name << ", element " << i;
    }
  }
}

// Some gradients are nothing but rounding: of a bias before a batch_norm.
void expect_near(const Outcome& expected, const Outcome& found, double tolerance) {
  EXPECT_NEAR(found.loss, expected.loss, tolerance * std::abs(expected.loss));
  double gradient = 0;
  for (const auto& [name, bytes] : expected.gradients) gradient = std::max(gradient, largest(bytes));
  constexpr double tiny = 0.01;
  expect_near(expected.gradients, found.gradients, tiny * gradient, 10 * tolerance);
  expect_near(expected.state, found.state, tiny, tolerance);
}

using test::DeviceTest;

constexpr double tolerance = 1e-5;

// How many shards share statistics.
class OnDevice : public test::DeviceTest, public ::testing::WithParamInterface<std::int64_t> {
 protected:
  static ModelOptions options() {
    ModelOptions options = small_resnet();
    options.statistics_group = GetParam();
    options.running_statistics = {{}, {.name = "cumulative", .kind = RunningStatistics::Kind::cumulative}};
    return options;
  }
};

TEST_P(OnDevice, TrainingAgreesWithTheProcessor) {
  const Steps steps{.batches = batches};
  const Outcome expected = run_steps(options(), steps)[0];
  expect_near(expected, run_steps(on(test::tested_device(), options()), steps)[0], tolerance);
}

TEST_P(OnDevice, TrainingWithFrozenStatisticsAgrees) {
  const Steps steps{.batches = batches, .freeze_after = 2};
  const Outcome expected = run_steps(options(), steps)[0];
  expect_near(expected, run_steps(on(test::tested_device(), options()), steps)[0], tolerance);
}

TEST_P(OnDevice, NothingAboutHowWorkIsSpreadChangesABit) {
  const Outcome expected = run_steps(on(test::tested_device(), options()), {.batches = batches})[0];
  for (const int workers : {2, 3}) {
    if (!test::is_double) break;  // whose memory no thread may copy for another worker
    const ModelOptions open = on(test::tested_device(true), options());
    for (const Outcome& outcome : run_steps(open, {.workers = workers, .batches = batches})) {
      EXPECT_TRUE(outcome == expected) << workers << " workers";
    }
  }
  ModelOptions threads = on(test::tested_device(), options());
  threads.threads = 2;
  EXPECT_TRUE(run_steps(threads, {.batches = batches})[0] == expected) << "2 threads";
  ModelOptions separate = on(test::tested_device(), options());
  separate.fuse = separate.recompute = false;
  EXPECT_TRUE(run_steps(separate, {.batches = batches})[0] == expected) << "neither fused nor recomputed";
}

INSTANTIATE_TEST_SUITE_P(, OnDevice, ::testing::Values(8, 2, 1));

// With the kinds of layers that small_resnet has not.
TEST_F(DeviceTest, TrainingWithPoolingsAndGroupsAgreesWithTheProcessor) {
  ModelOptions options = small_resnet();
  options.input = {.height = 9, .width = 8, .channels = 2};
  options.spec.layers = {
      {"conv1", Conv2dSpec{.out = 6, .kernel = 3, .padding = 1, .bias = true}},
      {"bn1", BatchNormSpec{}},
      {"relu1", ReluSpec{}},
      {"pool1", MaxPoolSpec{.window = 3, .stride = 2, .padding = 1}},
      {"block", ResidualSpec{.body = {{"conv", Conv2dSpec{.out = 6, .kernel = 3, .padding = 1, .groups = 6}},
                                      {"pool", AvgPoolSpec{}}},
                             .shortcut = {{"pool", MaxPoolSpec{}}}}},
      {"relu2", ReluSpec{}},
      {"flatten", FlattenSpec{}},
      {"fc1", LinearSpec{.out = 5}},
      {"bn2", BatchNormSpec{}},
      {"relu3", ReluSpec{}},
      {"fc2", LinearSpec{.out = 3}},
  };
  const Steps steps{.batches = batches};
  const Outcome expected = run_steps(options, steps)[0];
  expect_near(expected, run_steps(on(test::tested_device(), options), steps)[0], tolerance);
}

TEST_F(DeviceTest, TrainingInBf16AgreesWithTheProcessor) {
  if (!computes_in(Element::bf16)) GTEST_SKIP() << "not on this processor";
  ModelOptions options = small_resnet();
  options.training = Element::bf16;
  constexpr double rounded = 0.05;  // what is rounded the other way once may be so from then on
  const Outcome expected = run_steps(options, {})[0];
  expect_near(expected, run_steps(on(test::tested_device(), options), {})[0], rounded);
}

// What evaluation and prediction give, and what they leave.
TEST_F(DeviceTest, InferenceAgreesWithTheProcessor) {
  const auto infer = [](const ModelOptions& options) {
    std::vector<double> results;
    run_threads(1, [&](Communicator& comm) {
      Model model(options, 1, 0);
      model.initialize();
      const RandomBatch batch(model.layout(), options.input, options.classes, 13);
      const RandomBatch other(model.layout(), options.input, options.classes, 11, 8);
      results.push_back(model.evaluate(comm, batch.input()).loss);
      results.push_back(model.evaluate_by_batch(comm, batch.input()).loss);
      std::vector<const BatchInput*> left{&batch.input(), &other.input()};
      model.make_precise(comm, [&]() -> const BatchInput* {
        if (left.empty()) return nullptr;
        const BatchInput* const next = left.back();
        left.pop_back();
        return next;
      });
      results.push_back(model.evaluate(comm, other.input()).loss);
      std::vector<float> logits(static_cast<std::size_t>(3 * options.classes));
      ShardInput shard = other.input().shards.front();
      shard.samples = 1;
      shard.labels = shard.labels.first(1);
      model.predict(shard, 0, std::span(logits).first(static_cast<std::size_t>(options.classes)));
      results.insert(results.end(), logits.begin(), logits.end());
    });
    return results;
  };
  ModelOptions options = small_resnet();
  options.running_statistics = {{.name = "precise", .kind = RunningStatistics::Kind::precise}};
  const std::vector<double> expected = infer(options);
  const std::vector<double> found = infer(on(test::tested_device(), options));
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(found[i], expected[i], tolerance) << i;
}

TEST_F(DeviceTest, ComputesWithWhatTheHostWrites) {
  const ModelOptions options = on(test::tested_device(), small_resnet());
  run_threads(1, [&](Communicator& comm) {
    Model model(options, 1, 0);
    model.initialize();
    const RandomBatch batch(model.layout(), options.input, options.classes, 13);
    const double before = model.evaluate(comm, batch.input()).loss;
    std::ranges::fill(model.arena(), 0.0F);
    EXPECT_NEAR(model.evaluate(comm, batch.input()).loss / 13, std::log(3.0), tolerance);
    model.initialize();
    EXPECT_EQ(model.evaluate(comm, batch.input()).loss, before);
  });
}

TEST_F(DeviceTest, KnowsWhatIsNotFinite) {
  const auto device = test::tested_device();
  MirroredArray values(*device, 70'000);
  EXPECT_TRUE(device->all_finite(values.on_device()));
  for (const std::size_t at : {std::size_t{0}, std::size_t{40'000}, values.size() - 1}) {
    values.on_host()[at] = at == 0 ? INFINITY : std::nanf("");
    EXPECT_FALSE(device->all_finite(values.on_device())) << at;
    values.on_host()[at] = 1;
  }
  EXPECT_TRUE(device->all_finite(values.on_device()));
}

// Whether gradients were summed while others were still computed.
bool overlaps(const Trace& trace) {
  const auto& slices = trace.threads()[0].slices;
  const auto is = [](std::string_view kind, std::string_view part) {
    return [=](const Trace::Slice& it) { return it.kind == kind && (part.empty() || *it.part == part); };
  };
  const auto fold = std::find_if(slices.begin(), slices.end(), is("reduce", "fold"));
  return std::any_of(fold, slices.end(), is("backward", ""));
}

// What a GPU does for the first time may wait for all that it is at, and so for other workers.
TEST_F(DeviceTest, TheFirstStepOfAShapeOverlapsNothing) {
  const auto overlapping = [](const ModelOptions& options) {
    std::deque<Trace> traces;
    run_steps(options, {.batches = {16, 16, 13, 13}, .watch = [&](Communicator& comm, Model&) {
                          comm.set_trace(&traces.emplace_back(1, lane_count, 10'000));
                        }});
    std::vector<bool> steps;
    for (std::size_t step = 0; step + 1 < traces.size(); ++step) steps.push_back(overlaps(traces[step]));
    return steps;
  };
  EXPECT_EQ(overlapping(on(test::tested_device(), small_resnet())),
            (std::vector<bool>{false, true, false, true}));
  EXPECT_EQ(overlapping(small_resnet()), std::vector<bool>(4, true));
}

TEST_F(DeviceTest, MemoryThatGrowsNeedsNoRoomForWhatItWas) {
  if (!test::is_double) GTEST_SKIP() << "others use it";
  const auto device = test::tested_device();
  const std::size_t most = device->free_bytes();
  Memory memory(*device, most / 8 * 5);
  memory.reserve(*device, most / 8 * 6);
  EXPECT_EQ(memory.size(), most / 8 * 6);
}

TEST_F(DeviceTest, DivergesWithTheSameMessage) {
  const Steps steps{.may_diverge = true, .prepare = [](Model& model) {
                      for (const ModelTensor& tensor : model.state()) {
                        if (tensor.name != "fc.weight") continue;
                        reinterpret_cast<float*>(tensor.bytes.data())[0] = std::nanf("");
                      }
                    }};
  const std::string expected = run_steps(small_resnet(), steps)[0].diverged;
  EXPECT_FALSE(expected.empty());
  EXPECT_EQ(run_steps(on(test::tested_device(), small_resnet()), steps)[0].diverged, expected);
}

#ifndef LOCKSTEP_ON_GPU
TEST(OnDeviceDeathTest, TheHostCannotLookAtItsMemory) {
  const auto device = test::tested_device();
  const Memory memory(*device, 64);
  EXPECT_DEATH(static_cast<void>(*static_cast<volatile std::byte*>(memory.data())), "");
}

#endif

}  // namespace
}  // namespace lockstep::testing
