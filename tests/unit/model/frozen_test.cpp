// Training with frozen running statistics.
#include <gtest/gtest.h>

#include "tests/unit/model/steps.h"

namespace lockstep::testing {
namespace {

std::vector<std::byte> running_statistics(Model& model) {
  std::vector<std::byte> bytes;
  const std::size_t parameters = model.parameters().size();
  std::size_t number = 0;
  for (const ModelTensor& tensor : model.state()) {
    if (number++ >= parameters) bytes.insert(bytes.end(), tensor.bytes.begin(), tensor.bytes.end());
  }
  return bytes;
}

// Frozen after two steps, the next one against the same model's inference on the same batch.
void check_frozen(ModelOptions options, int workers, std::int64_t samples) {
  std::erase_if(options.spec.layers, [](const LayerSpec& it) { return it.name == "dropout"; });
  run_threads(workers, [&](Communicator& comm) {
    Model model(options, comm.size(), comm.rank());
    model.initialize();
    GradientReducer reducer(comm, model.layout(), model.gradient_tensors(), {});
    const RandomBatch first(model.layout(), options.input, options.classes, 16, 1);
    const RandomBatch batch(model.layout(), options.input, options.classes, samples, 2);
    model.train_step(comm, reducer, first.input(), 0);
    const BatchSums by_own = model.train_step(comm, reducer, batch.input(), 1);
    model.freeze_statistics();
    const auto before = running_statistics(model);
    const BatchSums frozen = model.train_step(comm, reducer, batch.input(), 2);
    EXPECT_TRUE(running_statistics(model) == before);
    EXPECT_EQ(frozen.loss, model.evaluate(comm, batch.input(), 0).loss);
    EXPECT_NE(frozen.loss, model.evaluate(comm, batch.input(), 1).loss);
    EXPECT_NE(frozen.loss, by_own.loss);
  });
}

TEST(FrozenStatistics, ArePrimaryConstantAndThoseOfInference) {
  ModelOptions options = small_resnet();
  const RunningStatistics cumulative{.name = "cumulative", .kind = RunningStatistics::Kind::cumulative};
  for (const std::int64_t group : {8, 1, 3}) {
    options.statistics_group = group;
    for (const int workers : {1, 2, 3, 4}) {
      for (const std::int64_t samples : {13, 3}) {
        options.running_statistics = {{}, cumulative};
        check_frozen(options, workers, samples);
        options.running_statistics = {cumulative, {}};
        check_frozen(options, workers, samples);
      }
    }
  }
}

// A batch_norm that never sees a variance may have one value a channel.
TEST(FrozenStatistics, NeedNoVarianceOfTheBatch) {
  ModelOptions options = small_resnet();
  options.spec.layers = {{"flatten", FlattenSpec{}}, {"bn", BatchNormSpec{}}, {"fc", LinearSpec{.out = 3}}};
  for (const int workers : {1, 2, 3, 4}) {
    run_threads(workers, [&](Communicator& comm) {
      Model model(options, comm.size(), comm.rank());
      model.initialize();
      model.freeze_statistics();
      GradientReducer reducer(comm, model.layout(), model.gradient_tensors(), {});
      const RandomBatch batch(model.layout(), options.input, options.classes, 1);
      EXPECT_NO_THROW(model.train_step(comm, reducer, batch.input(), 0));
    });
  }
}

}  // namespace
}  // namespace lockstep::testing
