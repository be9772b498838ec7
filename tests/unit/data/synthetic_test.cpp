#include "trainer/data/synthetic.h"

#include <cstdlib>
#include <set>

#include "tests/unit/data/fixtures.h"

namespace lockstep::testing {
namespace {

constexpr SyntheticConfig config{
    .samples = 60, .test_samples = 20, .height = 5, .width = 7, .channels = 3, .classes = 4};

TEST(Synthetic, HasTheConfiguredSizeShapeAndClasses) {
  const auto dataset = make_synthetic(config, 0, 60);
  EXPECT_EQ(dataset->size(), 60);
  EXPECT_EQ(dataset->shape(), (SampleShape{5, 7, 3}));
  EXPECT_EQ(dataset->classes(), 4);
  std::set<std::int32_t> labels;
  for (std::int64_t i = 0; i < 60; ++i) labels.insert(label_of(*dataset, i));
  EXPECT_EQ(labels, (std::set<std::int32_t>{0, 1, 2, 3}));
}

TEST(Synthetic, ASampleDependsOnItsNumberAlone) {
  const auto dataset = make_synthetic(config, 0, 60);
  const auto tail = make_synthetic(config, 40, 20);
  for (std::int64_t i = 19; i >= 0; --i) {
    EXPECT_EQ(pixels_of(*tail, i), pixels_of(*dataset, 40 + i));
    EXPECT_EQ(label_of(*tail, i), label_of(*dataset, 40 + i));
  }
  EXPECT_NE(pixels_of(*dataset, 0), pixels_of(*dataset, 4));
}

TEST(Synthetic, TestSamplesAreNoTrainingSamplesAndDoNotDependOnTheirNumber) {
  DataConfig data;
  data.dataset = DataConfig::Dataset::synthetic;
  data.synthetic = config;
  const Datasets few = open_datasets(data, 1);
  data.synthetic.samples = 61;
  const Datasets more = open_datasets(data, 1);
  EXPECT_EQ(few.test->size(), 20);
  EXPECT_EQ(pixels_of(*few.test, 3), pixels_of(*more.test, 3));
  std::set<Bytes> train;
  for (std::int64_t i = 0; i < 60; ++i) train.insert(pixels_of(*few.train, i));
  for (std::int64_t i = 0; i < 20; ++i) EXPECT_FALSE(train.contains(pixels_of(*few.test, i)));
}

// The nearest class mean of the training samples tells new samples' classes: there is something to learn.
TEST(Synthetic, ClassesCanBeLearned) {
  const auto train = make_synthetic(config, 0, 400);
  const auto test = make_synthetic(config, 1000, 100);
  std::vector<std::vector<int>> sums(4, std::vector<int>(105, 0));
  for (std::int64_t i = 0; i < 400; ++i) {
    const Bytes pixels = pixels_of(*train, i);
    auto& sum = sums[static_cast<std::size_t>(label_of(*train, i))];
    for (std::size_t p = 0; p < pixels.size(); ++p) sum[p] += pixels[p];
  }
  const auto distance = [&](std::size_t label, const Bytes& pixels) {
    long total = 0;
    for (std::size_t p = 0; p < pixels.size(); ++p) total += std::labs(sums[label][p] / 100 - pixels[p]);
    return total;
  };
  int right = 0;
  for (std::int64_t i = 0; i < 100; ++i) {
    const Bytes pixels = pixels_of(*test, i);
    std::size_t best = 0;
    for (std::size_t label = 1; label < 4; ++label) {
      if (distance(label, pixels) < distance(best, pixels)) best = label;
    }
    right += static_cast<int>(best) == label_of(*test, i) ? 1 : 0;
  }
  EXPECT_GT(right, 80);  // chance: 25
}

}  // namespace
}  // namespace lockstep::testing
