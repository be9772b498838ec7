#include "trainer/data/loader.h"

#include <array>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "comm/watch/life.h"
#include "trainer/data/sampler.h"

namespace lockstep {
namespace {

// The samples of global batches, read by one thread: step → its place, position there → image and label.
class Source {
 public:
  Source(std::shared_ptr<const Dataset> dataset, Transform transform)
      : dataset_(std::move(dataset)),
        transform_(std::move(transform)),
        pixels_(static_cast<std::size_t>(dataset_->shape().elements())) {}
  virtual ~Source() = default;

  std::int64_t elements() const { return dataset_->shape().elements(); }
  virtual StepPlace place(std::int64_t step) const = 0;
  // Writes the image of position `position` of the epoch's order; the answer is its label.
  virtual std::int32_t read(std::int64_t epoch, std::int64_t position, std::span<float> image) = 0;

 protected:
  std::shared_ptr<const Dataset> dataset_;
  Transform transform_;
  std::vector<std::uint8_t> pixels_;
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
  std::int32_t read(std::int64_t epoch, std::int64_t position, std::span<float> image) override {
    if (epoch != order_epoch_) {
      order_ = epoch_order(seed_, epoch, dataset_->size());
      order_epoch_ = epoch;
    }
    const std::int64_t index = order_[static_cast<std::size_t>(position)];
    const std::int32_t label = dataset_->get(index, pixels_);
    transform_.training(pixels_, epoch, index, image);
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
  std::int32_t read(std::int64_t /*epoch*/, std::int64_t position, std::span<float> image) override {
    const std::int32_t label = dataset_->get(position, pixels_);
    transform_.evaluation(pixels_, image);
    return label;
  }

 private:
  std::int64_t batch_;
};

}  // namespace

// Two batches take turns: one is the trainer's, the other is being read or waits.
class Loader::Reader {
 public:
  Reader(std::unique_ptr<Source> source, const ShardLayout& layout, Range steps)
      : source_(std::move(source)), layout_(layout), steps_(steps) {
    thread_ = std::jthread([this](const std::stop_token& stop) { read_all(stop); });
  }

  const LoadedBatch* next() {
    std::unique_lock lock(mutex_);
    released_ = taken_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return taken_ < read_ || finished_; });
    if (taken_ < read_) return &batches_[taken_++ % batches_.size()];
    if (failure_) std::rethrow_exception(failure_);
    return nullptr;
  }

 private:
  void read_all(const std::stop_token& stop) {
    std::exception_ptr failure;
    try {
      for (std::int64_t step = steps_.begin; step < steps_.end; ++step) {
        if (!wait_for_room(stop)) return;
        if (!read_batch(batches_[read_ % batches_.size()], step, stop)) return;
        const std::lock_guard lock(mutex_);
        ++read_;
        changed_.notify_all();
      }
    } catch (...) {
      failure = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    failure_ = failure;
    finished_ = true;
    changed_.notify_all();
  }

  // These two answer false where the loader is being destroyed.
  bool wait_for_room(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    return changed_.wait(lock, stop, [&] { return read_ - released_ < batches_.size(); });
  }
  bool read_batch(LoadedBatch& batch, std::int64_t step, const std::stop_token& stop) {
    const StepPlace place = source_->place(step);
    batch.lay_out(step, layout_, place.samples, source_->elements());
    for (std::size_t i = 0; i < batch.input().shards.size(); ++i) {
      const ShardInput& shard = batch.input().shards[i];
      for (std::int64_t sample = 0; sample < shard.samples; ++sample) {
        if (stop.stop_requested()) return false;
        const std::int64_t position = place.begin + shard.first_sample + sample;
        batch.label(i, sample) = source_->read(place.epoch, position, batch.image(i, sample));
        alive();
      }
    }
    return true;
  }

  std::unique_ptr<Source> source_;
  ShardLayout layout_;
  Range steps_;
  std::array<LoadedBatch, 2> batches_;

  std::mutex mutex_;
  std::condition_variable_any changed_;
  // Batches read, handed out, and given back; the mutex guards them, but only the thread writes read_.
  std::size_t read_ = 0, taken_ = 0, released_ = 0;
  bool finished_ = false;
  std::exception_ptr failure_;
  std::jthread thread_;  // last, so that it stops before what it uses goes
};

Loader Loader::training(std::shared_ptr<const Dataset> dataset, Transform transform,
                        const ShardLayout& layout, std::uint64_t seed, std::int64_t global, bool drop_last,
                        std::int64_t first_step, std::int64_t last_step) {
  step_place(first_step, dataset->size(), global, drop_last);  // throws here rather than in the thread
  auto source =
      std::make_unique<TrainingSource>(std::move(dataset), std::move(transform), seed, global, drop_last);
  return Loader(std::make_unique<Reader>(std::move(source), layout, Range{first_step, last_step}));
}

Loader Loader::evaluation(std::shared_ptr<const Dataset> dataset, Transform transform,
                          const ShardLayout& layout, std::int64_t batch) {
  const Range steps{0, steps_per_epoch(dataset->size(), batch, false)};
  auto source = std::make_unique<EvaluationSource>(std::move(dataset), std::move(transform), batch);
  return Loader(std::make_unique<Reader>(std::move(source), layout, steps));
}

Loader::Loader(std::unique_ptr<Reader> reader) : reader_(std::move(reader)) {}
Loader::Loader(Loader&&) noexcept = default;
Loader& Loader::operator=(Loader&&) noexcept = default;
Loader::~Loader() = default;

const LoadedBatch* Loader::next() {
  return reader_->next();
}

}  // namespace lockstep
