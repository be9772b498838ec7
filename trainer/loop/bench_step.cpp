#include "trainer/loop/bench_step.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "layers/ops/device.h"
#include "layers/tensor/random.h"
#include "trainer/loop/agree.h"
#include "trainer/loop/long_work.h"
#include "trainer/loop/memory.h"
#include "trainer/loop/next_batch.h"
#include "trainer/loop/own_process.h"
#include "trainer/loop/session.h"
#include "trainer/optim/clip.h"

namespace lockstep {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int warm_up_steps = 3;

LoadedBatch random_batch(const Config& config, const InputFacts& input, const Model& model) {
  const ShardLayout& layout = model.layout();
  LoadedBatch batch(model.options().device);
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

double largest_seconds(Communicator& comm, double seconds) {
  return static_cast<double>(largest(comm, "seconds", std::llround(seconds * 1e9))) * 1e-9;
}

Config whole_batches(Config config) {
  config.data.drop_last = true;
  return config;
}

}  // namespace

double seconds_together(Communicator& comm, const std::function<void()>& work) {
  comm.barrier(Lane::statistics, "window").wait();
  const auto start = Clock::now();
  work();
  comm.barrier(Lane::statistics, "window").wait();
  const std::chrono::duration<double> taken = Clock::now() - start;
  return largest_seconds(comm, taken.count());
}

TrainingData open_training_data(Communicator& comm, const Config& config) {
  std::optional<TrainingData> data;
  agree_on_long_work(comm, "data", [&](const Meanwhile& meanwhile) {
    const auto training = open_datasets(config.data, config.seed, meanwhile).train;
    data.emplace(TrainingData{
        training, Transform(training->shape(), input_normalization(config.data, *training, meanwhile),
                            config.data.augment, config.seed)});
  });
  return std::move(*data);
}

BenchedStep::BenchedStep(Communicator& comm, const Config& config, const InputFacts& input,
                         const TrainingData* training)
    : comm_(comm), check_order_(config.comm.check_order), clipping_(config.optimizer) {
  require_equal_hosts(comm);
  const std::shared_ptr<const Device> device = open_alike(comm, config);
  const MemoryLimit limit = memory_limit(comm, config, device.get());
  agree(comm, "model", [&] {
    require_precision(config);
    ModelOptions options = model_options(config, input);
    options.device = device;
    options.allow_reference = false;
    model_.emplace(std::move(options), comm.size(), comm.rank());
    check_variance(config, *model_, config.batch.global, {.per_epoch = 1, .total = 1});
    Workload work = workload(config);
    work.evaluation = config.batch.global;
    check_memory(model_->memory_bytes(work), limit);
    model_->initialize();
    optimizer_ = make_optimizer(config, *model_);
  });
  auto reduction = reduction_options(comm, config);
  reduction.memory = &model_->device();
  reducer_.emplace(comm, model_->layout(), model_->gradient_tensors(), reduction);
  if (training == nullptr) {
    batch_ = random_batch(config, input, *model_);
    batch_.bring();
    return;
  }
  // Only whole batches, so that each step has the same work.
  agree(comm, "loader", [&] {
    count_steps(whole_batches(config), training->dataset->size());
    loader_.emplace(Loader::training(training->dataset, training->transform, model_->layout(), config.seed,
                                     config.batch.global, true, 0, std::numeric_limits<std::int64_t>::max(),
                                     config.data.threads, model_->options().device));
  });
}

const BatchInput& BenchedStep::next() {
  if (!loader_) return batch_.input();
  const LoadedBatch* batch = next_batch(comm_, *loader_);
  if (batch == nullptr) throw std::logic_error("the loader of a benchmark ended");
  return batch->input();
}

double BenchedStep::seconds(std::int64_t steps) {
  return seconds_together(comm_, [&] {
    comm_.set_check_order(check_order_);
    for (const std::int64_t end = step_ + steps; step_ < end; ++step_) {
      model_->train_step(comm_, *reducer_, next(), step_);
      clip_gradients(clipping_, model_->device_gradients(), model_->device());
      optimizer_->update(model_->device_arena(), model_->device_gradients(), 0, step_);
    }
  });
}

std::int64_t BenchedStep::steps_in(double wanted) {
  seconds(warm_up_steps);
  const double a_step = seconds(warm_up_steps) / warm_up_steps;
  return std::max<std::int64_t>(std::llround(wanted / a_step), 1);
}

StepSpeed measure_steps(Communicator& comm, const Config& config, const InputFacts& input,
                        const TrainingData* training, double window_seconds) {
  BenchedStep step(comm, config, input, training);
  StepSpeed speed;
  step.seconds(1);
  speed.first_step_s = largest_seconds(comm, seconds_since_process_start());
  speed.steps_per_window = step.steps_in(window_seconds);
  for (int window = 0; window < bench_windows; ++window) {
    const double taken = step.seconds(speed.steps_per_window);
    speed.images_per_s.push_back(static_cast<double>(speed.steps_per_window * config.batch.global) / taken);
  }
  speed.peak_memory_bytes = largest(comm, "peak memory", peak_memory());
  return speed;
}

}  // namespace lockstep
