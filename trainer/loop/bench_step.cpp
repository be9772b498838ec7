#include "trainer/loop/bench_step.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>

#include "layers/tensor/random.h"
#include "trainer/data/loaded_batch.h"
#include "trainer/loop/agree.h"
#include "trainer/loop/memory.h"
#include "trainer/loop/session.h"
#include "trainer/optim/optimizer.h"

namespace lockstep {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int warm_up_steps = 3;
constexpr int windows = 7;
constexpr double window_seconds = 1;

LoadedBatch random_batch(const Config& config, const InputFacts& input, const ShardLayout& layout) {
  LoadedBatch batch;
  batch.lay_out(0, layout, config.batch.global, input.shape.elements());
  const Random random(config.seed, "bench");
  const auto& shards = batch.input().shards;
  for (std::size_t shard = 0; shard < shards.size(); ++shard) {
    for (std::int64_t sample = 0; sample < shards[shard].samples; ++sample) {
      const auto position = static_cast<std::uint64_t>(shards[shard].first_sample + sample);
      std::uint64_t element = 0;
      for (float& value : batch.image(shard, sample)) {
        value = 2 * Random::uniform(random.bits(position, element++)[0]) - 1;
      }
      batch.label(shard, sample) = static_cast<std::int32_t>(
          random.below(static_cast<std::uint64_t>(input.classes), position, element));
    }
  }
  return batch;
}

// Seconds that `work` takes on the slowest worker.
template <class Work>
double seconds(Communicator& comm, const Work& work) {
  comm.barrier(Lane::statistics, "window").wait();
  const auto start = Clock::now();
  work();
  comm.barrier(Lane::statistics, "window").wait();
  const std::chrono::nanoseconds taken = Clock::now() - start;
  return static_cast<double>(largest(comm, "window", taken.count())) * 1e-9;
}

}  // namespace

StepSpeed measure_steps(Communicator& comm, const Config& config, const InputFacts& input) {
  require_equal_hosts(comm);
  const MemoryLimit limit = memory_limit(config.plan.memory_mib, available_memory(), workers_on_host(comm));
  std::optional<Model> model;
  std::unique_ptr<Optimizer> optimizer;
  agree(comm, "model", [&] {
    model.emplace(model_options(config, input), comm.size(), comm.rank());
    check_variance(config, *model, config.batch.global, {.per_epoch = 1, .total = 1});
    Workload work = workload(config);
    work.evaluation = config.batch.global;
    check_memory(model->memory_bytes(work), limit);
    model->initialize();
    optimizer = make_optimizer(config, *model);
  });
  GradientReducer reducer(comm, model->layout(), model->gradient_tensors(), reduction_options(comm, config));
  const LoadedBatch batch = random_batch(config, input, model->layout());

  std::int64_t step = 0;
  const auto run = [&](std::int64_t steps) {
    return seconds(comm, [&] {
      for (const std::int64_t end = step + steps; step < end; ++step) {
        model->train_step(comm, reducer, batch.input(), step);
        optimizer->update(model->arena(), model->gradients(), 0, step);
      }
    });
  };
  run(warm_up_steps);
  const double a_step = run(warm_up_steps) / warm_up_steps;

  StepSpeed speed;
  speed.steps_per_window = std::max<std::int64_t>(std::llround(window_seconds / a_step), 1);
  for (int window = 0; window < windows; ++window) {
    const double taken = run(speed.steps_per_window);
    speed.images_per_s.push_back(static_cast<double>(speed.steps_per_window * config.batch.global) / taken);
  }
  return speed;
}

}  // namespace lockstep
