// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <temper/checkpoint.hpp>

#include <Eigen/Core>

#include <csignal>
#include <deque>
#include <fstream>
#include <functional>
#include <iterator>

#if __has_include(<sys/resource.h>)
#include <sys/resource.h>
#endif

namespace {

using temper::Index;
using temper::load_checkpoint;
using temper::part;
using temper::save_checkpoint;
namespace fs = std::filesystem;

/// A folder of its own that is removed at the end.
struct Folder {
    fs::path path;
    Folder()
    {
        static int counter = 0;
        path = fs::temp_directory_path() /
               ("temper_checkpoint_" + std::to_string(getpid()) + "_" + std::to_string(counter++));
        fs::create_directories(path);
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() { fs::remove_all(path); }
    [[nodiscard]] std::vector<std::string> files() const
    {
        std::vector<std::string> names;
        for (const auto& entry : fs::directory_iterator(path))
            names.push_back(entry.path().filename().string());
        return names;
    }
};

std::string contents(const fs::path& path)
{
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}
void write(const fs::path& path, const std::string& bytes)
{
    std::ofstream(path, std::ios::binary) << bytes;
}

template <class Error = temper::FormatError>
std::string message_of(const std::function<void()>& call)
{
    try {
        call();
    }
    catch (const Error& error) {
        return error.what();
    }
    return "no error";
}

struct Queue {
    std::vector<float> centre;
    std::deque<Index> seen;
    template <class Archive>
    void fields(Archive& a)
    {
        a("centre", centre)("seen", seen);
    }
    friend bool operator==(const Queue&, const Queue&) = default;
};

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct Run {
    Index step = 0;
    Queue queue{{0, 0}, {}};
    Eigen::MatrixXd w = Eigen::MatrixXd::Zero(3, 4);
    Eigen::VectorXf b = Eigen::VectorXf::Zero(3);
    std::vector<double> moments = std::vector<double>(5);

    static Run trained()
    {
        Run run;
        run.step = 1234;
        run.queue = {{0.5f, -1}, {7, 8, 9}};
        for (Index i = 0; i < 12; ++i)
            run.w(i / 4, i % 4) = static_cast<double>(i) / 3;
        run.b << 1, 2, 3;
        run.moments = {1, 2, 3, 4, 5};
        return run;
    }
    void save(const fs::path& path) const
    {
        save_checkpoint(path, part("step", step), part("queue", queue), part("w", w), part("b", b),
                        part("moments", moments));
    }
    void load(const fs::path& path)
    {
        load_checkpoint(path, part("step", step), part("queue", queue), part("w", w), part("b", b),
                        part("moments", moments));
    }
    friend bool operator==(const Run&, const Run&) = default;
};

} // namespace

TEST_CASE("checkpoint: states, numbers and weights come back", "[checkpoint]")
{
    const Folder folder;
    const auto path = folder.path / "run.ckpt";
    const Run saved = Run::trained();
    saved.save(path);
    Run loaded;
    loaded.load(path);
    CHECK(loaded == saved);
    CHECK(temper::checkpoint_parts(path) ==
          std::vector<std::string>{"step", "queue", "w", "b", "moments"});
    // Some of the parts, in another order.
    Run some;
    load_checkpoint(path, part("w", some.w), part("step", some.step));
    CHECK(some.step == 1234);
    CHECK(some.w == saved.w);
    CHECK(some.b.isZero());
}

TEST_CASE("checkpoint: layouts, blocks, spans and lists of tensors", "[checkpoint]")
{
    const Folder folder;
    const auto path = folder.path / "run.ckpt";
    const Run run = Run::trained();
    const std::vector<Eigen::MatrixXf> layers{Eigen::MatrixXf::Constant(2, 3, 1.5f),
                                              Eigen::MatrixXf::Constant(3, 1, 2.5f)};
    save_checkpoint(path, part("w", run.w), part("corner", run.w.topLeftCorner(2, 2)),
                    part("list", temper::tensors(run.w, run.moments)), part("layers", layers),
                    part("note", std::string("digits")), part("seven", 7));

    RowMajor w(3, 4);
    Eigen::MatrixXd big = Eigen::MatrixXd::Zero(5, 5);
    RowMajor list_w(3, 4);
    std::vector<double> list_m(5);
    std::vector<Eigen::MatrixXf> loaded{Eigen::MatrixXf(2, 3), Eigen::MatrixXf(3, 1)};
    std::string note;
    int seven = 0;
    load_checkpoint(path, part("w", w), part("corner", big.block(1, 2, 2, 2)),
                    part("list", temper::tensors(list_w, list_m)), part("layers", loaded),
                    part("note", note), part("seven", seven));
    CHECK(w == run.w);
    CHECK(list_w == run.w);
    CHECK(list_m == run.moments);
    CHECK(big.block(1, 2, 2, 2) == run.w.topLeftCorner(2, 2));
    CHECK((big.array() != 0).count() == 3); // w(0, 0) is 0
    CHECK(loaded[0] == layers[0]);
    CHECK(loaded[1] == layers[1]);
    CHECK(note == "digits");
    CHECK(seven == 7);
}

TEST_CASE("checkpoint: a file cut off at any byte is refused and touches nothing", "[checkpoint]")
{
    const Folder folder;
    const auto path = folder.path / "run.ckpt";
    Run::trained().save(path);
    const std::string whole = contents(path);
    const auto cut = folder.path / "cut.ckpt";
    Run run;
    const Run before = run;
    for (std::size_t n = 0; n < whole.size(); ++n) {
        write(cut, whole.substr(0, n));
        CHECK_THROWS_AS(run.load(cut), temper::FormatError);
        REQUIRE(run == before);
    }
    write(cut, whole + '\0');
    CHECK(message_of([&] { run.load(cut); }) ==
          "checkpoint: file goes on after its last part, must be as it was saved");
    write(cut, whole.substr(0, whole.size() - 1)); // within the last part
    CHECK(message_of([&] { run.load(cut); }) ==
          "checkpoint: moments is cut off after 51 of 52 bytes, must be whole");
    write(cut, whole.substr(0, 40));
    CHECK(message_of([&] { run.load(cut); }) == "checkpoint: directory is cut off, must be whole");
    write(cut, whole.substr(0, 5));
    CHECK(message_of([&] { run.load(cut); }) ==
          "checkpoint: file is cut off at its beginning, must be whole");
    CHECK(run == before);
}

TEST_CASE("checkpoint: a flipped bit is refused wherever it is", "[checkpoint]")
{
    const Folder folder;
    const auto path = folder.path / "run.ckpt";
    Run::trained().save(path);
    const std::string whole = contents(path);
    const auto bad = folder.path / "bad.ckpt";
    Run run;
    const Run before = run;
    for (std::size_t i = 0; i < whole.size(); ++i) {
        std::string flipped = whole;
        flipped[i] = static_cast<char>(flipped[i] ^ (1 << (i % 8)));
        write(bad, flipped);
        CHECK_THROWS_AS(run.load(bad), temper::FormatError);
        REQUIRE(run == before);
    }
    std::string flipped = whole;
    flipped[whole.size() - 60] = static_cast<char>(flipped[whole.size() - 60] ^ 1); // in b
    write(bad, flipped);
    CHECK(message_of([&] { run.load(bad); }) ==
          "checkpoint: b is damaged, must be as it was saved");
}

TEST_CASE("checkpoint: foreign files and other versions are refused", "[checkpoint]")
{
    const Folder folder;
    const auto path = folder.path / "run.ckpt";
    Run run;
    const auto refusal = [&] { return message_of([&] { run.load(path); }); };
    write(path, "PK\3\4 this is a zip file, or says so");
    CHECK(refusal() == "checkpoint: file is something else, must be from save_checkpoint");
    write(path, std::string(1000, '\0'));
    CHECK(refusal() == "checkpoint: file is something else, must be from save_checkpoint");
    write(path, "");
    CHECK(refusal() == "checkpoint: file is cut off at its beginning, must be whole");
    run.save(path);
    std::string newer = contents(path);
    newer[7] = 2;
    write(path, newer);
    CHECK(refusal() == "checkpoint: file is of format 2, must be 1");
}

TEST_CASE("checkpoint: parts that are missing or do not fit are named", "[checkpoint]")
{
    const Folder folder;
    const auto path = folder.path / "run.ckpt";
    Run::trained().save(path);
    Run run;
    const Run before = run;
    // Always with a part that would fit before the one that does not: it must not be written.
    const auto refusal = [&](auto wrong) {
        const std::string text =
            message_of([&] { load_checkpoint(path, part("step", run.step), wrong); });
        CHECK(run == before);
        return text;
    };
    Eigen::MatrixXd turned(4, 3);
    Eigen::MatrixXf other_scalar(3, 4);
    Eigen::VectorXd other_rank(12);
    std::vector<float> empty;
    double number = 0;
    Queue wider{{1, 2, 3}, {}};
    CHECK(refusal(part("velocity", run.w)) ==
          "checkpoint: velocity is missing, must be in the file");
    CHECK(refusal(part("w", turned)) == "checkpoint: w has shape [3, 4], must be [4, 3]");
    CHECK(refusal(part("w", other_scalar)) == "checkpoint: w is float64, must be float32");
    CHECK(refusal(part("w", other_rank)) == "checkpoint: w has rank 2, must be 1");
    CHECK(refusal(part("b", empty)) == "checkpoint: b has shape [3], must be [0]");
    CHECK(refusal(part("step", number)) == "checkpoint: step is int64, must be float64");
    CHECK(refusal(part("queue", number)) == "checkpoint: queue is a record, must be float64");
    CHECK(refusal(part("queue", wider)) == "checkpoint: queue.centre has 2 entries, must be 3");
    CHECK(refusal(part("w", temper::tensors(run.w))) ==
          "checkpoint: w is a tensor, must be a sequence");
}

TEST_CASE("checkpoint: two parts of one name are refused before anything is written",
          "[checkpoint]")
{
    const Folder folder;
    const auto path = folder.path / "run.ckpt";
    const int a = 1;
    CHECK(message_of<temper::RangeError>([&] {
              save_checkpoint(path, part("a", a), part("a", a));
          }) == "checkpoint: a names two parts, must be the name of one");
    CHECK(folder.files().empty());
}

TEST_CASE("checkpoint: the old file stays until the new one is whole", "[checkpoint]")
{
    const Folder folder;
    const auto path = folder.path / "run.ckpt";
    Run first;
    first.step = 1;
    first.save(path);
    // A reader that opened the old file goes on reading the old file.
    std::ifstream reader(path, std::ios::binary);
    const std::string old = contents(path);
    Run::trained().save(path);
    const std::string seen{std::istreambuf_iterator<char>(reader), {}};
    CHECK(seen == old);
    CHECK(contents(path) != old);
    CHECK(folder.files() == std::vector<std::string>{"run.ckpt"});
}

TEST_CASE("checkpoint: files that cannot be read or written are errors, and leave nothing behind",
          "[checkpoint]")
{
    const Folder folder;
    Run run;
    CHECK_THROWS_AS(run.load(folder.path / "none.ckpt"), temper::Error);
    CHECK_THROWS_AS(run.load(folder.path), temper::Error);
    CHECK_THROWS_AS(run.save(folder.path / "no" / "folder" / "run.ckpt"), temper::Error);
    fs::create_directory(folder.path / "taken");
    write(folder.path / "taken" / "file", "");
    CHECK_THROWS_AS(run.save(folder.path / "taken"), temper::Error); // a folder is not replaced
    CHECK(folder.files() == std::vector<std::string>{"taken"});
}

#if __has_include(<sys/resource.h>)
TEST_CASE("checkpoint: the old file survives a disk that is full", "[checkpoint]")
{
    const Folder folder;
    const auto path = folder.path / "run.ckpt";
    const Run saved = Run::trained();
    saved.save(path);
    Run later = Run::trained();
    later.step = 99;

    rlimit usual{};
    getrlimit(RLIMIT_FSIZE, &usual);
    const rlimit small{64, usual.rlim_max};
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    const std::string text = message_of<temper::Error>([&] { later.save(path); });
    setrlimit(RLIMIT_FSIZE, &usual);
    std::signal(SIGXFSZ, handler);

    CHECK(text.find("cannot be written") != std::string::npos);
    CHECK(folder.files() == std::vector<std::string>{"run.ckpt"});
    Run loaded;
    loaded.load(path);
    CHECK(loaded == saved);
}
#endif

TEST_CASE("checkpoint: a path without a folder, and no parts at all", "[checkpoint]")
{
    const Folder folder;
    const auto here = fs::current_path();
    fs::current_path(folder.path);
    save_checkpoint("empty.ckpt");
    load_checkpoint("empty.ckpt");
    CHECK(temper::checkpoint_parts("empty.ckpt").empty());
    fs::current_path(here);
}
