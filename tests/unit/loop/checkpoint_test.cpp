#include "trainer/loop/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "comm/base/error.h"
#include "trainer/config/config.h"

namespace lockstep {
namespace {

using testing::HasSubstr;

// Three tensors with values that tell whether anything was written over them.
struct State {
  std::array<float, 4> weight{1, 2, 3, 4};
  std::array<float, 2> bias{5, 6};
  std::int64_t batches = 7;

  std::vector<ModelTensor> tensors() {
    return {{"fc.weight", DType::f32, {2, 2}, std::as_writable_bytes(std::span(weight))},
            {"fc.bias", DType::f32, {2}, std::as_writable_bytes(std::span(bias))},
            {"bn.num_batches_tracked", DType::i64, {}, std::as_writable_bytes(std::span(&batches, 1))}};
  }
};

SafetensorsFile file_of(const std::vector<ModelTensor>& tensors) {
  std::vector<TensorView> views;
  views.reserve(tensors.size());
  for (const ModelTensor& it : tensors) views.push_back({it.name, it.dtype, it.dims, it.bytes});
  // In the order that the format lays them out in: by falling alignment, then by name.
  std::sort(views.begin(), views.end(), [](const TensorView& a, const TensorView& b) {
    return std::pair(size_of(b.dtype), a.name) < std::pair(size_of(a.dtype), b.name);
  });
  std::string bytes = safetensors_header(views, {});
  for (const TensorView& it : views) {
    bytes.append(reinterpret_cast<const char*>(it.bytes.data()), it.bytes.size());
  }
  Buffer contents(bytes.size());
  std::memcpy(contents.data(), bytes.data(), bytes.size());
  return SafetensorsFile::parse(std::move(contents), bytes.size(), "a.safetensors");
}

std::string refusal(const SafetensorsFile& file, State& state, Purpose purpose) {
  try {
    load_tensors(file, "a.safetensors", state.tensors(), purpose);
  } catch (const DataError& error) {
    return error.what();
  }
  return "";
}

TEST(LoadTensors, BringsBackEveryTensor) {
  State saved;
  const SafetensorsFile file = file_of(saved.tensors());
  State loaded{{}, {}, 0};
  load_tensors(file, "a.safetensors", loaded.tensors(), Purpose::resume);
  EXPECT_EQ(loaded.weight, saved.weight);
  EXPECT_EQ(loaded.bias, saved.bias);
  EXPECT_EQ(loaded.batches, 7);
}

TEST(LoadTensors, ListsAllThatDoesNotFitAndChangesNothing) {
  State saved;
  auto tensors = saved.tensors();
  tensors[0].dims = {4};          // another shape
  tensors[1].name = "fc.offset";  // one missing, one unexpected
  tensors[2].dtype = DType::f64;  // another type
  const SafetensorsFile file = file_of(tensors);
  State state{{9, 9, 9, 9}, {9, 9}, 9};
  const std::string message = refusal(file, state, Purpose::resume);
  EXPECT_THAT(message, HasSubstr("a.safetensors"));
  EXPECT_THAT(message, HasSubstr("missing: fc.bias"));
  EXPECT_THAT(message, HasSubstr("unexpected: fc.offset"));
  EXPECT_THAT(message, HasSubstr("fc.weight is [4] in the file, [2, 2] in the model"));
  EXPECT_THAT(message, HasSubstr("bn.num_batches_tracked"));
  EXPECT_THAT(state.weight, testing::Each(9));
  EXPECT_THAT(state.bias, testing::Each(9));
  EXPECT_EQ(state.batches, 9);
}

TEST(LoadTensors, ShowsNamesOfAFileWithCare) {
  State saved;
  auto tensors = saved.tensors();
  tensors[1].name = "\x1b[2J" + std::string(1'000'000, 'x');
  State state;
  const std::string message = refusal(file_of(tensors), state, Purpose::resume);
  EXPECT_THAT(message, HasSubstr("unexpected: ?[2Jxxx"));
  EXPECT_LT(message.size(), 500U);
}

TEST(LoadTensors, InferencePassesOverWhatOnlyTrainingNeeds) {
  State saved;
  std::array<float, 2> momentum{1, 1};
  auto tensors = saved.tensors();
  tensors.push_back(
      {"optimizer.momentum.fc.bias", DType::f32, {2}, std::as_writable_bytes(std::span(momentum))});
  const SafetensorsFile file = file_of(tensors);
  State state;
  EXPECT_EQ(refusal(file, state, Purpose::inference), "");
  EXPECT_THAT(refusal(file, state, Purpose::resume), HasSubstr("unexpected: optimizer.momentum.fc.bias"));
}

TEST(LoadTensors, AModelFileLacksWhatResumingNeeds) {
  State saved;
  const SafetensorsFile file = file_of(saved.tensors());
  State state;
  auto wanted = state.tensors();
  std::int64_t step = 0;
  wanted.push_back({"train.step", DType::i64, {}, std::as_writable_bytes(std::span(&step, 1))});
  EXPECT_THROW(load_tensors(file, "a.safetensors", wanted, Purpose::resume), DataError);
}

TEST(LoadTensors, ResumingDoesWithoutTheDerivedIfAllOfThemAreLacking) {
  State saved;
  const auto derive = [](std::vector<ModelTensor> tensors) {
    tensors[1].derived = tensors[2].derived = true;
    return tensors;
  };
  auto some = saved.tensors();
  some.pop_back();
  auto none = some;
  none.pop_back();
  State state{{}, {9, 9}, 9};
  EXPECT_TRUE(load_tensors(file_of(saved.tensors()), "a", derive(state.tensors()), Purpose::resume));
  EXPECT_EQ(state.batches, 7);
  state = {{}, {9, 9}, 9};
  EXPECT_FALSE(load_tensors(file_of(none), "a", derive(state.tensors()), Purpose::resume));
  EXPECT_EQ(state.weight, saved.weight);
  EXPECT_EQ(state.batches, 9);
  EXPECT_THROW(load_tensors(file_of(some), "a", derive(state.tensors()), Purpose::resume), DataError);
  try {
    load_tensors(file_of(none), "a", derive(state.tensors()), Purpose::inference);
    FAIL() << "statistics that are not there were read";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("missing: fc.bias, bn.num_batches_tracked"));
    EXPECT_THAT(error.what(), HasSubstr("--resume makes them"));
  }
}

Facts some_facts() {
  Facts facts;
  facts.input = {{28, 20, 3}, 2};
  facts.normalization = {{0.1, 1.0 / 3, 0.5}, {0.2, 1e-9, 0.7}};
  facts.class_names = {"cat", "a \"quoted\" dog"};
  facts.samples = 60'000;
  facts.train_digest = "0123456789abcdef";
  facts.init_digest = "fedcba9876543210";
  facts.step = 235;
  facts.epoch = 1;
  return facts;
}

TEST(Describe, FactsComeBackExactly) {
  const Facts facts = some_facts();
  const Facts read = read_facts(describe(Config{}, facts), "a.safetensors");
  EXPECT_EQ(read.input.shape, facts.input.shape);
  EXPECT_EQ(read.input.classes, 2);
  EXPECT_EQ(read.normalization.mean, facts.normalization.mean);
  EXPECT_EQ(read.normalization.deviation, facts.normalization.deviation);
  EXPECT_EQ(read.class_names, facts.class_names);
  EXPECT_EQ(read.samples, 60'000);
  EXPECT_EQ(read.train_digest, "0123456789abcdef");
  EXPECT_EQ(read.init_digest, "fedcba9876543210");
  EXPECT_EQ(read.step, 235);
  EXPECT_EQ(read.epoch, 1);
}

TEST(Describe, TheConfigurationComesBackInWhatDeterminesTheResult) {
  Config config;
  config.optimizer.lr = 0.0123;
  config.batch.shards = 12;
  const Config read = read_config(describe(config, some_facts()), "a.safetensors");
  EXPECT_EQ(result_json(read), result_json(config));
}

TEST(Describe, IsTheSameWhereverAndHoweverManyTrain) {
  Config here;
  Config there;
  there.run_dir = "/elsewhere";
  there.threads = 7;
  there.comm.bucket_mib = 1;
  there.plan.recompute = false;
  there.train.digest_every = 1;
  EXPECT_EQ(describe(here, some_facts()), describe(there, some_facts()));
}

TEST(ReadFacts, NamesWhatIsMissing) {
  Metadata metadata = describe(Config{}, some_facts());
  metadata.erase("input_mean");
  try {
    read_facts(metadata, "a.safetensors");
    FAIL();
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), testing::AllOf(HasSubstr("a.safetensors"), HasSubstr("'input_mean'")));
  }
}

TEST(ReadFacts, RefusesAnotherFormatVersion) {
  Metadata metadata = describe(Config{}, some_facts());
  metadata["format_version"] = "2";
  EXPECT_THROW(read_facts(metadata, "a.safetensors"), DataError);
  EXPECT_THROW(read_config(metadata, "a.safetensors"), DataError);
}

struct BadFact {
  const char* key;
  const char* value;
  const char* complaint;
};

TEST(ReadFacts, RefusesWhatIsNoFactAndSaysWhatWouldBe) {
  for (const BadFact& bad : std::vector<BadFact>{
           {"step", "-1", "not a whole number, at least 0"},
           {"step", "1.5", "not a whole number"},
           {"step", "1e30", "not a whole number"},
           {"step", "true", "not a whole number"},
           {"step", "18446744073709551615", "not a whole number"},
           {"step", "1 2", "it is not JSON"},
           {"epoch", "\"1\"", "not a whole number"},
           {"train_samples", "[1]", "not a whole number"},
           {"input_shape", "[28,28]", "not three sizes"},
           {"input_shape", "[28,28,3,1]", "not three sizes"},
           {"input_shape", "[28,-28,3]", "rows, columns, channels"},
           {"input_shape", "[0,28,3]", "not three sizes"},
           {"input_shape", "[4294967296,4294967296,3]", "at most 1073741824 values"},
           {"input_shape", "[9223372036854775807,9223372036854775807,3]", "at most 1073741824 values"},
           {"input_shape", "[[28],28,3]", "nested deeper"},
           {"input_mean", "[0.1,\"0.2\",0.3]", "not a list of numbers"},
           {"input_mean", "[0.1,0.2]", "images of 3 channels, but 2 means"},
           {"input_mean", "[1e999,0.2,0.3]", "out of range"},
           {"input_deviation", "[0.1,0,0.3]", "not above 0"},
           {"input_deviation", "[0.1,-1,0.3]", "not above 0"},
           {"classes", "0", "0 classes, but names of 2"},
           {"classes", "4000000000000", "classes, but names of 2"},
           {"class_names", "[\"cat\"]", "2 classes, but names of 1"},
           {"class_names", "[\"cat\",7]", "not a list of texts"},
           {"class_names", R"({"cat":"dog"})", "not a list of texts"},
           {"format_version", "\x1b[2J", "format version is '?[2J'"}}) {
    Metadata metadata = describe(Config{}, some_facts());
    metadata[bad.key] = bad.value;
    try {
      read_facts(metadata, "a.safetensors");
      ADD_FAILURE() << bad.key << " = " << bad.value;
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), testing::AllOf(HasSubstr("a.safetensors: "), HasSubstr(bad.complaint)));
    }
  }
}

TEST(ReadFacts, ShowsAFilesTextWithCare) {
  Metadata metadata = describe(Config{}, some_facts());
  metadata["step"] = "\x1b[2J" + std::string(1'000'000, 'x');
  try {
    read_facts(metadata, "a.safetensors");
    FAIL();
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("'step'"));
    EXPECT_THAT(error.what(), testing::Not(HasSubstr("\x1b")));
    EXPECT_LT(std::string(error.what()).size(), 500U);
  }
}

TEST(ReadFacts, RefusesANormalizationThatDoesNotSuitTheImages) {
  Metadata metadata = describe(Config{}, some_facts());
  metadata["input_mean"] = "[0.5]";
  EXPECT_THROW(read_facts(metadata, "a.safetensors"), DataError);
  metadata["input_mean"] = "half";
  EXPECT_THROW(read_facts(metadata, "a.safetensors"), DataError);
}

}  // namespace
}  // namespace lockstep
