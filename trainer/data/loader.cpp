#include "trainer/data/loader.h"

#include <array>
#include <condition_variable>
#include <exception>
#include <limits>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "comm/watch/life.h"
#include "trainer/data/sampler.h"

namespace lockstep {
namespace {

// The samples of global batches: step → its place, position there → index in the data set → image and label.
class Source {
 public:
  Source(std::shared_ptr<const Dataset> dataset, Transform transform)
      : dataset_(std::move(dataset)), transform_(std::move(transform)) {}
  virtual ~Source() = default;

  std::int64_t elements() const { return dataset_->shape().elements(); }
  virtual StepPlace place(std::int64_t step) const = 0;
  // Of the sample at `position` of the epoch's order. One thread at a time.
  virtual std::int64_t index(std::int64_t epoch, std::int64_t position) = 0;
  // Writes the image of that sample, with the raw pixels on the way; the answer is its label. Any threads.
  virtual std::int32_t read(std::int64_t epoch, std::int64_t index, std::span<std::uint8_t> pixels,
                            std::span<float> image) const = 0;

 protected:
  std::shared_ptr<const Dataset> dataset_;
  Transform transform_;
};

class TrainingSource : public Source {
 public:
  TrainingSource(std::shared_ptr<const Dataset> dataset, Transform transform, std::uint64_t seed,
                 std::int64_t global, bool drop_last)
      : Source(std::move(dataset), std::move(transform)),
        seed_(seed),
        global_(global),
        drop_last_(drop_last) {}

  StepPlace place(std::int64_t step) const override {
    return step_place(step, dataset_->size(), global_, drop_last_);
  }
  std::int64_t index(std::int64_t epoch, std::int64_t position) override {
    if (epoch != order_epoch_) {
      order_ = epoch_order(seed_, epoch, dataset_->size());
      order_epoch_ = epoch;
    }
    return order_[static_cast<std::size_t>(position)];
  }
  std::int32_t read(std::int64_t epoch, std::int64_t index, std::span<std::uint8_t> pixels,
                    std::span<float> image) const override {
    const ChooseRegion region = transform_.region(epoch, index);
    const std::int32_t label =
        region ? dataset_->get_region(index, region, pixels) : dataset_->get(index, pixels);
    transform_.training(pixels, epoch, index, image);
    return label;
  }

 private:
  std::uint64_t seed_;
  std::int64_t global_;
  bool drop_last_;
  std::vector<std::int64_t> order_;
  std::int64_t order_epoch_ = -1;
};

class EvaluationSource : public Source {
 public:
  EvaluationSource(std::shared_ptr<const Dataset> dataset, Transform transform, std::int64_t batch)
      : Source(std::move(dataset), std::move(transform)), batch_(batch) {}

  StepPlace place(std::int64_t step) const override {
    return step_place(step, dataset_->size(), batch_, false);
  }
  std::int64_t index(std::int64_t /*epoch*/, std::int64_t position) override { return position; }
  std::int32_t read(std::int64_t /*epoch*/, std::int64_t index, std::span<std::uint8_t> pixels,
                    std::span<float> image) const override {
    const std::int32_t label = dataset_->get(index, pixels);
    transform_.evaluation(pixels, image);
    return label;
  }

 private:
  std::int64_t batch_;
};

// A batch that is being read, by several threads at once.
struct Reading {
  LoadedBatch batch;
  std::int64_t epoch = 0;
  struct Sample {
    std::int64_t index;
    std::size_t shard;
    std::int64_t in_shard;
  };
  std::vector<Sample> samples;
  std::size_t taken = 0, done = 0;  // of them
  // Of the first sample that could not be read: all are tried, so that it is the same whatever the threads.
  std::size_t failed = std::numeric_limits<std::size_t>::max();
  std::exception_ptr failure;

  bool complete() const { return done == samples.size(); }

  void finish(std::size_t sample, const std::exception_ptr& its_failure) {
    if (its_failure && sample < failed) {
      failed = sample;
      failure = its_failure;
    }
    ++done;
    // While the batch before it is used, so that no step waits for its images.
    if (complete() && !failure) bring();
  }

  void bring() {
    try {
      batch.bring();
    } catch (...) {
      failure = std::current_exception();
    }
  }

  void begin(Source& source, std::int64_t step, const ShardLayout& layout) {
    taken = done = 0;
    samples.clear();
    const StepPlace place = source.place(step);
    epoch = place.epoch;
    batch.lay_out(step, layout, place.samples, source.elements());
    for (std::size_t i = 0; i < batch.input().shards.size(); ++i) {
      const ShardInput& shard = batch.input().shards[i];
      for (std::int64_t sample = 0; sample < shard.samples; ++sample) {
        samples.push_back({source.index(epoch, place.begin + shard.first_sample + sample), i, sample});
      }
    }
  }
};

}  // namespace

// Two batches take turns: one is the trainer's, the other is being read or waits.
class Loader::Reader {
 public:
  Reader(std::unique_ptr<Source> source, const ShardLayout& layout, Range steps, int threads,
         const std::shared_ptr<const Device>& device = nullptr)
      : source_(std::move(source)), layout_(layout), steps_(steps) {
    for (Reading& reading : readings_) reading.batch = LoadedBatch(device);
    threads_.reserve(static_cast<std::size_t>(threads));
    for (int i = 0; i < threads; ++i) {
      threads_.emplace_back([this](const std::stop_token& stop) { read_all(stop); });
    }
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() {
    for (std::jthread& thread : threads_) thread.request_stop();
  }

  const LoadedBatch* next() {
    std::unique_lock lock(mutex_);
    released_ = given_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return ended() || (given_ < begun_ && slot(given_).complete()); });
    if (given_ < begun_ && slot(given_).complete()) {
      if (slot(given_).failure) std::rethrow_exception(slot(given_).failure);
      return &slot(given_++).batch;
    }
    if (failure_) std::rethrow_exception(failure_);
    return nullptr;
  }

 private:
  struct Task {
    Reading* reading;
    std::size_t sample;
  };

  Reading& slot(std::size_t batch) { return readings_[batch % readings_.size()]; }
  bool all_begun() const { return failure_ || std::cmp_equal(begun_, steps_.size()); }
  // Whether there is no batch to come but those that are complete and were given.
  bool ended() const { return all_begun() && given_ == begun_; }

  void read_all(const std::stop_token& stop) {
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(source_->elements()));
    while (const auto task = take(stop)) {
      std::exception_ptr failure;
      try {
        read(*task, pixels);
      } catch (...) {
        failure = std::current_exception();
      }
      alive();
      finish(*task, failure);
    }
  }

  void read(const Task& task, std::span<std::uint8_t> pixels) {
    Reading& reading = *task.reading;
    const auto& sample = reading.samples[task.sample];
    reading.batch.label(sample.shard, sample.in_shard) = source_->read(
        reading.epoch, sample.index, pixels, reading.batch.image(sample.shard, sample.in_shard));
  }

  // The next sample to be read; nothing after the last, or where the loader is being destroyed.
  std::optional<Task> take(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    const auto waits = [&] { return begun_ > 0 && last().taken < last().samples.size(); };
    while (!waits()) {
      const auto room = [&] { return waits() || all_begun() || begun_ - released_ < readings_.size(); };
      if (!changed_.wait(lock, stop, room)) return std::nullopt;
      if (waits()) break;
      if (all_begun()) return std::nullopt;
      begin_next();
    }
    if (stop.stop_requested()) return std::nullopt;
    return Task{&last(), last().taken++};
  }

  Reading& last() { return slot(begun_ - 1); }

  void begin_next() {
    try {
      slot(begun_).begin(*source_, steps_.begin + static_cast<std::int64_t>(begun_), layout_);
      ++begun_;
    } catch (...) {
      failure_ = std::current_exception();
    }
    changed_.notify_all();
  }

  void finish(const Task& task, const std::exception_ptr& failure) {
    const std::lock_guard lock(mutex_);
    task.reading->finish(task.sample, failure);
    if (task.reading->complete()) changed_.notify_all();
  }

  std::unique_ptr<Source> source_;
  ShardLayout layout_;
  Range steps_;
  std::array<Reading, 2> readings_;

  std::mutex mutex_;  // guards all of the following, and of a reading what counts its samples
  std::condition_variable_any changed_;
  std::size_t begun_ = 0, given_ = 0, released_ = 0;  // batches
  std::exception_ptr failure_;                        // of beginning a batch
  std::vector<std::jthread> threads_;                 // last, so that they stop before what they use goes
};

Loader Loader::training(std::shared_ptr<const Dataset> dataset, Transform transform,
                        const ShardLayout& layout, std::uint64_t seed, std::int64_t global, bool drop_last,
                        std::int64_t first_step, std::int64_t last_step, int threads,
                        const std::shared_ptr<const Device>& device) {
  step_place(first_step, dataset->size(), global, drop_last);  // throws here rather than in the thread
  auto source =
      std::make_unique<TrainingSource>(std::move(dataset), std::move(transform), seed, global, drop_last);
  return Loader(
      std::make_unique<Reader>(std::move(source), layout, Range{first_step, last_step}, threads, device));
}

Loader Loader::evaluation(std::shared_ptr<const Dataset> dataset, Transform transform,
                          const ShardLayout& layout, std::int64_t batch, int threads,
                          const std::shared_ptr<const Device>& device) {
  const Range steps{0, steps_per_epoch(dataset->size(), batch, false)};
  auto source = std::make_unique<EvaluationSource>(std::move(dataset), std::move(transform), batch);
  return Loader(std::make_unique<Reader>(std::move(source), layout, steps, threads, device));
}

Loader::Loader(std::unique_ptr<Reader> reader) : reader_(std::move(reader)) {}
Loader::Loader(Loader&&) noexcept = default;
Loader& Loader::operator=(Loader&&) noexcept = default;
Loader::~Loader() = default;

const LoadedBatch* Loader::next() {
  return reader_->next();
}

}  // namespace lockstep
