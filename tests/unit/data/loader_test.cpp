#include "trainer/data/loader.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <new>
#include <ostream>
#include <stdexcept>
#include <thread>
#include <tuple>

#include "layers/tensor/buffer.h"
#include "tests/support/gpu_double.h"
#include "tests/unit/data/fixtures.h"
#include "trainer/data/sampler.h"

namespace lockstep::testing {
namespace {

constexpr SampleShape shape{3, 5, 1};
constexpr std::uint64_t seed = 7;

std::shared_ptr<const Dataset> dataset_of(std::int64_t size) {
  return std::make_shared<FunctionDataset>(size, shape, [](std::int64_t index, std::int64_t element) {
    return static_cast<std::uint8_t>(index * 16 + element);
  });
}

Transform augmenting() {
  return {shape, {{0.3}, {0.2}}, {.pad_crop = 1, .flip = true}, seed};
}

struct Sample {
  std::vector<float> image;
  std::int32_t label = 0;
  bool operator==(const Sample&) const = default;
};

// (step, position in the global batch) → the sample there.
using Samples = std::map<std::tuple<std::int64_t, std::int64_t>, Sample>;

// The samples of a shard; device: where they are.
std::vector<Sample> samples_of(const ShardInput& shard, const Device& device) {
  std::vector<std::int32_t> labels(shard.labels.size());
  device.await_copy(shard.labels.data(), 0);
  device.copy_out(labels.data(), shard.labels.data(), shard.labels.size_bytes());
  device.await_copy(shard.images, 0);
  std::vector<Sample> samples;
  for (const std::int32_t label : labels) {
    const float* const image = shard.images + std::ssize(samples) * shape.elements();
    samples.push_back({std::vector<float>(static_cast<std::size_t>(shape.elements())), label});
    device.copy_out(samples.back().image.data(), image, samples.back().image.size() * sizeof(float));
  }
  return samples;
}

// Adds a batch; a position that somebody has loaded before is a failure.
void collect(const LoadedBatch& batch, Samples& samples, const Device& device = host()) {
  for (const ShardInput& shard : batch.input().shards) {
    ASSERT_EQ(std::ssize(shard.labels), shard.samples);
    std::int64_t position = shard.first_sample;
    for (Sample& sample : samples_of(shard, device)) {
      ASSERT_TRUE(samples.emplace(std::tuple{batch.step(), position}, std::move(sample)).second)
          << "step " << batch.step() << ", position " << position;
      ++position;
    }
  }
}

// Adds what one worker loads.
void collect(Loader loader, Samples& samples) {
  while (const LoadedBatch* batch = loader.next()) collect(*batch, samples);
}

struct Case {
  std::int64_t size, global, shards;
  bool drop_last = false;
  friend std::ostream& operator<<(std::ostream& out, const Case& of) {
    return out << of.size << "_by_" << of.global << "_in_" << of.shards << (of.drop_last ? "_dropped" : "");
  }
};

Samples load_training(const Case& of, int workers, std::int64_t first_step, std::int64_t last_step,
                      int threads = 1) {
  Samples samples;
  for (int rank = 0; rank < workers; ++rank) {
    collect(Loader::training(dataset_of(of.size), augmenting(), {of.shards, workers, rank}, seed, of.global,
                             of.drop_last, first_step, last_step, threads),
            samples);
  }
  return samples;
}

// The same from the definition, without a loader.
Samples compute_training(const Case& of, std::int64_t first_step, std::int64_t last_step) {
  Samples samples;
  const auto dataset = dataset_of(of.size);
  const Transform transform = augmenting();
  for (std::int64_t step = first_step; step < last_step; ++step) {
    const StepPlace place = step_place(step, of.size, of.global, of.drop_last);
    const auto order = epoch_order(seed, place.epoch, of.size);
    for (std::int64_t i = 0; i < place.samples; ++i) {
      const std::int64_t index = order[static_cast<std::size_t>(place.begin + i)];
      Sample sample{std::vector<float>(static_cast<std::size_t>(shape.elements())),
                    label_of(*dataset, index)};
      transform.training(pixels_of(*dataset, index), place.epoch, index, sample.image);
      samples.emplace(std::tuple{step, i}, std::move(sample));
    }
  }
  return samples;
}

TEST(Loader, BringsABatchToTheDeviceWhileTheOneBeforeIsUsed) {
  const Case of{.size = 24, .global = 8, .shards = 4};
  const auto device = test::gpu_double();
  test::GpuDouble::copies_begun = 0;
  Loader loader = Loader::training(dataset_of(of.size), augmenting(), {of.shards, 1, 0}, seed, of.global,
                                   false, 0, 3, 2, device);
  constexpr int copies_a_batch = 2 * 4;  // images and labels of a shard each
  Samples samples;
  for (int batches = 2; const LoadedBatch* batch = loader.next(); batches = std::min(batches + 1, 3)) {
    const auto begun = std::chrono::steady_clock::now();
    while (test::GpuDouble::copies_begun < batches * copies_a_batch) {
      ASSERT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(20)) << samples.size();
      std::this_thread::yield();
    }
    EXPECT_TRUE(batch->input().on_device);
    collect(*batch, samples, *device);
  }
  EXPECT_TRUE(samples == compute_training(of, 0, 3));
}

TEST(Loader, TellsWhereTheDeviceHasNoRoomForABatch) {
  const auto device = test::gpu_double();
  const auto all = device->allocate(test::GuardedMemory::capacity);
  Loader loader = Loader::training(dataset_of(24), augmenting(), {4, 1, 0}, seed, 8, false, 0, 3, 1, device);
  EXPECT_THROW(loader.next(), std::bad_alloc);
}

class LoaderCases : public ::testing::TestWithParam<Case> {};

TEST_P(LoaderCases, EverySampleOfEveryStepIsLoadedOnceWhateverTheWorkers) {
  const Case& of = GetParam();
  const std::int64_t steps = 2 * steps_per_epoch(of.size, of.global, of.drop_last) + 1;
  const Samples expected = compute_training(of, 0, steps);
  for (int workers = 1; workers <= of.shards; ++workers) {
    EXPECT_TRUE(load_training(of, workers, 0, steps) == expected) << workers << " workers";
  }
}

TEST_P(LoaderCases, ThreadsLoadTheSame) {
  const Case& of = GetParam();
  const std::int64_t steps = 2 * steps_per_epoch(of.size, of.global, of.drop_last) + 1;
  const Samples expected = compute_training(of, 0, steps);
  for (const int threads : {2, 3, 7}) {
    for (int round = 0; round < 5; ++round) {
      EXPECT_TRUE(load_training(of, 2, 0, steps, threads) == expected) << threads << " threads";
    }
  }
}

TEST_P(LoaderCases, StartingLaterIsTheRestOfStartingAtZero) {
  const Case& of = GetParam();
  const std::int64_t steps = 2 * steps_per_epoch(of.size, of.global, of.drop_last) + 1;
  const Samples expected = compute_training(of, 0, steps);
  for (std::int64_t first = 1; first <= steps; ++first) {
    const Samples rest(expected.lower_bound({first, 0}), expected.end());
    EXPECT_TRUE(load_training(of, 1, first, steps) == rest) << "from step " << first;
  }
}

TEST_P(LoaderCases, EvaluationLoadsTheWholeDataSetInOrderOnceWhateverTheWorkers) {
  const Case& of = GetParam();
  const auto dataset = dataset_of(of.size);
  const Transform transform = augmenting();
  Samples expected;
  for (std::int64_t index = 0; index < of.size; ++index) {
    Sample sample{std::vector<float>(static_cast<std::size_t>(shape.elements())), label_of(*dataset, index)};
    transform.evaluation(pixels_of(*dataset, index), sample.image);
    expected.emplace(std::tuple{index / of.global, index % of.global}, std::move(sample));
  }
  for (int workers = 1; workers <= of.shards; ++workers) {
    Samples samples;
    for (int rank = 0; rank < workers; ++rank) {
      collect(Loader::evaluation(dataset, transform, {of.shards, workers, rank}, of.global), samples);
    }
    EXPECT_TRUE(samples == expected) << workers << " workers";
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, LoaderCases,
                         ::testing::Values(Case{24, 8, 4},        // all even
                                           Case{23, 8, 3},        // size and batch no multiples
                                           Case{23, 8, 3, true},  // the short last batch dropped
                                           Case{18, 8, 5},   // the last batch has two samples: empty shards
                                           Case{17, 8, 8},   // … and one
                                           Case{5, 8, 4},    // the data set is smaller than the batch
                                           Case{3, 2, 4}));  // fewer samples than shards in every batch

TEST(Loader, EachWorkerHasItsOwnShardsWithTheirPlaceInTheGlobalBatch) {
  Loader loader = Loader::training(dataset_of(23), augmenting(), {5, 2, 1}, seed, 13, false, 0, 2);
  const BatchInput& full = loader.next()->input();  // 13 samples in 5 shards: 3 3 3 | 2 2
  EXPECT_EQ(full.global, 13);
  ASSERT_EQ(full.shards.size(), 2U);
  EXPECT_EQ(full.shards[0].first_sample, 9);
  EXPECT_EQ(full.shards[0].samples, 2);
  EXPECT_EQ(full.shards[1].first_sample, 11);
  EXPECT_EQ(full.shards[1].samples, 2);
}

TEST(Loader, AnEmptyShardHasNoImages) {
  Loader loader = Loader::evaluation(dataset_of(2), augmenting(), {4, 1, 0}, 8);
  const LoadedBatch* batch = loader.next();
  ASSERT_NE(batch, nullptr);
  EXPECT_EQ(batch->input().global, 2);
  ASSERT_EQ(batch->input().shards.size(), 4U);
  EXPECT_EQ(batch->input().shards[1].samples, 1);
  EXPECT_NE(batch->input().shards[1].images, nullptr);
  EXPECT_EQ(batch->input().shards[2].samples, 0);
  EXPECT_EQ(batch->input().shards[2].images, nullptr);
  EXPECT_TRUE(batch->input().shards[2].labels.empty());
}

TEST(Loader, AWorkerWhoseShardsAreAllEmptyStillGetsTheBatch) {
  Loader loader = Loader::evaluation(dataset_of(2), augmenting(), {4, 2, 1}, 8);
  const LoadedBatch* batch = loader.next();
  ASSERT_NE(batch, nullptr);
  EXPECT_EQ(batch->input().global, 2);
  for (const ShardInput& shard : batch->input().shards) EXPECT_EQ(shard.samples, 0);
  EXPECT_EQ(loader.next(), nullptr);
}

TEST(Loader, ImagesOfAShardStartOn64Bytes) {
  Loader loader = Loader::training(dataset_of(40), augmenting(), {6, 2, 0}, seed, 19, false, 0, 6);
  while (const LoadedBatch* batch = loader.next()) {
    for (const ShardInput& shard : batch->input().shards) {
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(shard.images) % alignment, 0U);
    }
  }
}

TEST(Loader, ABatchStaysAsItIsUntilTheNextCall) {
  Loader loader = Loader::training(dataset_of(64), augmenting(), {1, 1, 0}, seed, 4, false, 0, 16);
  const auto expected = compute_training({64, 4, 1}, 0, 16);
  std::int64_t step = 0;
  while (const LoadedBatch* batch = loader.next()) {
    std::this_thread::yield();  // to the thread that reads ahead
    const float* images = batch->input().shards[0].images;
    for (std::int64_t i = 0; i < 4; ++i) {
      const float* image = images + i * shape.elements();
      EXPECT_EQ(std::vector<float>(image, image + shape.elements()), expected.at({step, i}).image);
    }
    ++step;
  }
  EXPECT_EQ(step, 16);
}

TEST(Loader, SaysTheEndAgainAndAgain) {
  Loader loader = Loader::training(dataset_of(8), augmenting(), {2, 1, 0}, seed, 4, false, 3, 4);
  EXPECT_EQ(loader.next()->step(), 3);
  EXPECT_EQ(loader.next(), nullptr);
  EXPECT_EQ(loader.next(), nullptr);
}

TEST(Loader, LoadsNothingFromFirstToFirst) {
  Loader loader = Loader::training(dataset_of(8), augmenting(), {2, 1, 0}, seed, 4, false, 3, 3);
  EXPECT_EQ(loader.next(), nullptr);
}

TEST(Loader, RefusesAnEpochWithoutAStep) {
  EXPECT_THROW(Loader::training(dataset_of(3), augmenting(), {2, 1, 0}, seed, 4, true, 0, 1),
               std::invalid_argument);
}

TEST(Loader, RethrowsWhatReadingThrewAfterTheBatchesBeforeIt) {
  const auto dataset = std::make_shared<FunctionDataset>(20, shape, [](std::int64_t index, std::int64_t) {
    if (index == 13) throw DataError("sample 13 cannot be read");
    return std::uint8_t{0};
  });
  Loader loader = Loader::evaluation(dataset, augmenting(), {2, 1, 0}, 4);
  for (int batch = 0; batch < 3; ++batch) ASSERT_NE(loader.next(), nullptr);
  EXPECT_EQ(message_of<DataError>([&] { loader.next(); }), "sample 13 cannot be read");
  EXPECT_THROW(loader.next(), DataError);
}

TEST(Loader, ThreadsThrowWhatTheFirstSampleOfABatchThrew) {
  for (int round = 0; round < 20; ++round) {
    const auto dataset =
        std::make_shared<FunctionDataset>(40, shape, [](std::int64_t index, std::int64_t element) {
          if (index >= 13 && element == 0) throw DataError(std::to_string(index));
          return std::uint8_t{0};
        });
    Loader loader = Loader::evaluation(dataset, augmenting(), {2, 1, 0}, 8, 4);
    ASSERT_NE(loader.next(), nullptr);
    EXPECT_EQ(message_of<DataError>([&] { loader.next(); }), "13");
    EXPECT_EQ(message_of<DataError>([&] { loader.next(); }), "13");
  }
}

TEST(Loader, GoesAwayInTheMiddleOfABatch) {
  std::atomic<std::int64_t> reads = 0;
  const auto dataset =
      std::make_shared<FunctionDataset>(1'000'000'000, shape, [&](std::int64_t, std::int64_t) {
        reads.fetch_add(1);
        reads.notify_one();
        return std::uint8_t{0};
      });
  {
    const Loader loader = Loader::evaluation(dataset, augmenting(), {10'000, 10'000, 0}, 1'000'000'000);
    reads.wait(0);
  }
  EXPECT_GT(reads, 0);
  EXPECT_LT(reads, 100'000 * shape.elements());  // the worker's shard has so many samples
}

TEST(Loader, GoesAwayWithBatchesNobodyTook) {
  Loader loader = Loader::training(dataset_of(64), augmenting(), {2, 1, 0}, seed, 4, false, 0, 1'000'000);
  ASSERT_NE(loader.next(), nullptr);
}

TEST(Loader, CanBeMoved) {
  Loader loader = Loader::training(dataset_of(8), augmenting(), {2, 1, 0}, seed, 4, false, 0, 3);
  EXPECT_EQ(loader.next()->step(), 0);
  Loader moved = std::move(loader);
  EXPECT_EQ(moved.next()->step(), 1);
  moved = Loader::training(dataset_of(8), augmenting(), {2, 1, 0}, seed, 4, false, 7, 8);
  EXPECT_EQ(moved.next()->step(), 7);
}

}  // namespace
}  // namespace lockstep::testing
