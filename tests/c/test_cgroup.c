/* SPDX-License-Identifier: BSD-3-Clause */
/* The limit that control groups set: groups that are really made, and odd texts about them. */
#include "machine_limits.h"

/* Version 1, for real: a group of our own with a limit, and one in it without. */
enum { GROUP_LIMIT = 800 * MIB, LONGEST_PATH = 512 };

static char group[LONGEST_PATH];
static char inner_group[LONGEST_PATH + 8];

/* Where this process's memory group is, if that is version 1's and mounted where it usually is. */
static bool find_own_group(char *path, size_t size)
{
    FILE *lines = fopen("/proc/self/cgroup", "r");
    char line[LONGEST_PATH];
    bool found = false;
    while (lines != NULL && !found && fgets(line, sizeof(line), lines) != NULL) {
        char *name = strstr(line, ":memory:");
        line[strcspn(line, "\n")] = '\0';
        found = name != NULL;
        if (found) {
            snprintf(path, size, "/sys/fs/cgroup/memory%s", name + strlen(":memory:"));
        }
    }
    if (lines != NULL) {
        fclose(lines);
    }
    return found && access(path, W_OK) == 0;
}

static void write_in(const char *folder, const char *name, const char *text)
{
    char path[LONGEST_PATH + 64];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    check(fd >= 0);
    if (write(fd, text, strlen(text)) != (ssize_t) strlen(text)) {
        not_here("this control group takes no limits");
    }
    close(fd);
}

static void move_to(const char *folder)
{
    char number[32];
    snprintf(number, sizeof(number), "%d", (int) getpid());
    write_in(folder, "cgroup.procs", number);
}

static void ask_in_group(void)
{
    char text[32];
    struct zmalloc_memory_limits before = limits_now();
    snprintf(text, sizeof(text), "%d", GROUP_LIMIT);
    write_in(group, "memory.limit_in_bytes", text);
    move_to(group);
    check(limits_now().cgroup == GROUP_LIMIT);
    check(mkdir(inner_group, 0755) == 0);
    move_to(inner_group);
    check(limits_now().cgroup == GROUP_LIMIT);
    check_least();
    size_t bytes;
    check(zmalloc_memory_limit(&bytes) == 0 && bytes <= GROUP_LIMIT);
    write_in(inner_group, "memory.limit_in_bytes", "536870912");
    check(limits_now().cgroup == 536870912);
    write_in(inner_group, "memory.limit_in_bytes", "-1");
    write_in(group, "memory.limit_in_bytes", "-1");
    check(limits_now().cgroup == before.cgroup);
}

/* As in a container: what the process knows as the root of the tree is its own group. */
static void ask_in_a_namespace(void)
{
    leave_mount_namespace();
    char text[32];
    snprintf(text, sizeof(text), "%d", GROUP_LIMIT);
    write_in(group, "memory.limit_in_bytes", text);
    check(mkdir(inner_group, 0755) == 0);
    move_to(inner_group);
    if (unshare(CLONE_NEWCGROUP) != 0) {
        not_here("this user may make no cgroup namespace");
    }
    /* Mounted as it was before, the tree is more than this process is told of itself. */
    size_t seen = limits_now().cgroup;
    check(seen == GROUP_LIMIT || seen == ZMALLOC_UNKNOWN);
    check(mount("tmpfs", "/mnt", "tmpfs", 0, NULL) == 0);
    check(mount("cgroup", "/mnt", "cgroup", 0, "memory") == 0);
    check(limits_now().cgroup == GROUP_LIMIT);
}

/* What lies over a folder far above the tree has a group of that name, and another limit. */
static void ask_under_another_mount(void)
{
    enum { FORGED = 4096 };
    static const char stat[] = "hierarchical_memory_limit 4096\n";
    char text[32];
    char path[LONGEST_PATH + 64];
    leave_mount_namespace();
    snprintf(text, sizeof(text), "%d", GROUP_LIMIT);
    write_in(group, "memory.limit_in_bytes", text);
    move_to(group);
    check(limits_now().cgroup == GROUP_LIMIT);
    check(mount("tmpfs", "/sys/fs", "tmpfs", 0, NULL) == 0);
    snprintf(path, sizeof(path), "%s/", group);
    for (char *slash = path + strlen("/sys/fs/"); (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        check(mkdir(path, 0755) == 0);
        *slash = '/';
    }
    snprintf(path, sizeof(path), "%s/memory.stat", group);
    write_file(path, stat);
    size_t seen = limits_now().cgroup;
    check(seen == GROUP_LIMIT || seen == ZMALLOC_UNKNOWN); /* the tree may be mounted elsewhere too */
}

static void in_a_group_of_its_own(void (*body)(void))
{
    char own[LONGEST_PATH - 64];
    if (!find_own_group(own, sizeof(own))) {
        print_message("skipped: no control group of version 1 that this user may write to\n");
        skip();
    }
    snprintf(group, sizeof(group), "%s/zmalloc-test-%d", own, (int) getpid());
    snprintf(inner_group, sizeof(inner_group), "%s/inner", group);
    if (mkdir(group, 0755) != 0) {
        print_message("skipped: this user may make no control group\n");
        skip();
    }
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        body();
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    rmdir(inner_group);
    assert_int_equal(rmdir(group), 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_HERE) {
        skip();
    }
    assert_int_equal(status, 0);
}

static void test_control_group_of_version_1(void **state)
{
    (void) state;
    in_a_group_of_its_own(ask_in_group);
}

static void test_control_group_in_a_namespace(void **state)
{
    (void) state;
    in_a_group_of_its_own(ask_in_a_namespace);
}

static void test_control_group_under_another_mount(void **state)
{
    (void) state;
    in_a_group_of_its_own(ask_under_another_mount);
}

/*
 * Version 2, and odd texts: the kernel's own files of this process are covered with others, which point to a tree of
 * plain files in a place of its own.
 */
struct said {
    const char *name;
    const char *cgroup; /* NULL: as long as the next lines say */
    const char *mountinfo;
    size_t cgroup_limit;
};

/* A limit that does not fit is none. */
#define AS_SIZE(limit) ((limit) < ZMALLOC_NO_LIMIT ? (size_t) (limit) : ZMALLOC_NO_LIMIT)

#define MOUNTED "30 1 0:27 / /mnt/tree rw,nosuid - cgroup2 cgroup2 rw\n"
#define FIRST "32 1 0:25 / /mnt/first rw - cgroup cgroup rw,memory\n"
/* The tree is mounted in a mount that lies in another one. */
#define IN_OTHERS                                                                                                    \
    "20 1 0:8 / /mnt rw - tmpfs x rw\n21 20 0:9 / /mnt/tree rw - tmpfs x rw\n"                                       \
    "22 21 0:27 / /mnt/tree/limited rw - cgroup2 cgroup2 rw\n"
#define X8 "xxxxxxxx"
#define X64 X8 X8 X8 X8 X8 X8 X8 X8
#define X512 X64 X64 X64 X64 X64 X64 X64 X64
#define OTHERS                                                                                                       \
    "22 27 0:21 / /proc rw,relatime - proc proc rw\n"                                                                \
    "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - tmpfs tmpfs rw,mode=755\n"                                   \
    "34 31 0:31 / /mnt/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"

static const struct said said[] = {
    {"the root has no file", "0::/\n", OTHERS MOUNTED, ZMALLOC_NO_LIMIT},
    {"max all the way up", "0::/free/free\n", MOUNTED, ZMALLOC_NO_LIMIT},
    {"its own", "0::/free/limited\n", OTHERS MOUNTED, 300 * MIB},
    {"its parent's", "0::/limited/free\n", MOUNTED, 400 * MIB},
    {"its parent's, and it has no file", "0::/limited/bare\n", MOUNTED, 400 * MIB},
    {"its parent's is less", "0::/limited/more\n", MOUNTED, 400 * MIB},
    {"its own is less", "0::/limited/less\n", MOUNTED, 100 * MIB},
    {"far below", "0::/limited/free/a/b/c\n", MOUNTED, 400 * MIB},
    {"zero", "0::/zero\n", MOUNTED, 0},
    {"more than can be counted", "0::/huge\n", MOUNTED, ZMALLOC_NO_LIMIT},
    {"more than can be counted in 32 bits", "0::/large\n", MOUNTED, AS_SIZE(UINT64_C(5) << 30)},
    {"the most that can be", "0::/most\n", MOUNTED, UINT32_MAX - 2},
    {"what says in 32 bits that there is none", "0::/none\n", MOUNTED, AS_SIZE(UINT32_MAX - 1)},
    {"what says in 32 bits that it is unknown", "0::/unknown\n", MOUNTED, AS_SIZE(UINT32_MAX)},
    {"a name with a colon", "0::/limited/a:b\n", MOUNTED, 50 * MIB},
    {"version 1's others are named too", "4:cpu,cpuacct:/x\n1:name=systemd:/x\n0::/limited\n", OTHERS MOUNTED,
     400 * MIB},
    {"only a part of the tree is mounted", "0::/outer/limited/less\n",
     "30 1 0:27 /outer /mnt/tree rw - cgroup2 none rw\n", 100 * MIB},
    {"its own group is what is mounted", "0::/outer/inner\n",
     "30 1 0:27 /outer/inner /mnt/tree/limited rw - cgroup2 cgroup2 rw\n", 400 * MIB},
    {"the limit is that of what is mounted", "0::/outer/free\n",
     "30 1 0:27 /outer /mnt/tree/limited rw - cgroup2 cgroup2 rw\n", 400 * MIB},
    {"the second mount has it", "0::/outer/limited\n",
     "29 1 0:27 /elsewhere /mnt/cpu rw - cgroup2 cgroup2 rw\n30 1 0:27 /outer /mnt/tree rw - cgroup2 cgroup2 rw\n",
     400 * MIB},
    {"options between", "0::/limited\n", "30 1 0:27 / /mnt/tree rw shared:4 master:2 - cgroup2 cgroup2 rw\n",
     400 * MIB},
    {"version 1", "3:memory:/a\n0::/limited\n", "30 1 0:27 / /mnt/first rw - cgroup cgroup rw,memory\n" MOUNTED,
     200 * MIB},
    {"version 1, after a longer path of version 2", "0::/limited\n3:memory:/a\n", FIRST MOUNTED, 200 * MIB},
    {"version 1, beside another controller", "3:cpu,memory,pids:/a\n",
     "30 1 0:27 / /mnt/first rw - cgroup cgroup rw,cpu,memory,pids\n", 200 * MIB},
    {"version 1, without a limit", "3:memory:/none\n", "30 1 0:27 / /mnt/first rw - cgroup cgroup rw,memory\n",
     ZMALLOC_NO_LIMIT},
    {"the source is empty", "0::/limited\n", "30 1 0:27 / /mnt/tree rw,nosuid shared:4 - cgroup2  rw,nsdelegate\n",
     400 * MIB},
    {"version 1's source is empty", "3:memory:/a\n", "32 1 0:25 / /mnt/first rw - cgroup  rw,memory\n", 200 * MIB},
    {"a source with a blank", "0::/limited\n", "30 1 0:27 / /mnt/tree rw - cgroup2 a\\040b rw\n", 400 * MIB},
    {"a mount point with a blank", "0::/limited\n", "30 1 0:27 / /mnt/t\\040ree rw - cgroup2 cgroup2 rw\n", 30 * MIB},
    {"a mount point with a backslash", "0::/\n", "30 1 0:27 / /mnt/t\\134040ree rw - cgroup2 cgroup2 rw\n", 20 * MIB},
    {"a backslash and no octal digits", "0::/\n", "30 1 0:27 / /mnt/t\\089ree rw - cgroup2 cgroup2 rw\n", 10 * MIB},
    {"a root with a blank", "0::/out er/limited\n", "30 1 0:27 /out\\040er /mnt/tree rw - cgroup2 cgroup2 rw\n",
     400 * MIB},
    {"a group with a blank", "0::/li mited\n", MOUNTED, 60 * MIB},
    {"the first mount can't be reached", "0::/limited\n", "29 1 0:27 / /mnt/gone rw - cgroup2 cgroup2 rw\n" MOUNTED,
     400 * MIB},
    {"the second mount can't be reached", "0::/limited\n", MOUNTED "31 1 0:27 / /mnt/gone rw - cgroup2 cgroup2 rw\n",
     400 * MIB},
    {"the first mount is no tree of groups", "0::/\n", "29 1 0:27 / /mnt/cpu rw - cgroup2 cgroup2 rw\n" MOUNTED,
     ZMALLOC_NO_LIMIT},
    {"the only mount is no tree of groups", "0::/\n", "29 1 0:27 / /mnt/cpu rw - cgroup2 cgroup2 rw\n",
     ZMALLOC_UNKNOWN},
    {"version 1's first mount can't be reached", "3:memory:/a\n",
     "31 1 0:25 / /mnt/gone rw - cgroup cgroup rw,memory\n" FIRST, 200 * MIB},
    {"a part is mounted over the tree", "0::/outer/limited\n",
     MOUNTED "31 30 0:27 /outer /mnt/tree rw - cgroup2 cgroup2 rw\n", 400 * MIB},
    {"a part is mounted over the tree, which has such a group too", "0::/limited/free\n",
     MOUNTED "31 30 0:27 /limited /mnt/tree rw - cgroup2 cgroup2 rw\n", ZMALLOC_NO_LIMIT},
    {"another file system is mounted over the tree", "0::/limited\n",
     MOUNTED "31 30 0:9 / /mnt/tree rw - tmpfs x rw\n", ZMALLOC_UNKNOWN},
    {"the whole tree shows more than a part of it", "0::/limited/more\n",
     "29 1 0:27 /limited /mnt/part rw - cgroup2 cgroup2 rw\n" MOUNTED, 400 * MIB},
    {"and before it", "0::/limited/more\n", MOUNTED "31 1 0:27 /limited /mnt/part rw - cgroup2 cgroup2 rw\n",
     400 * MIB},
    {"only the part", "0::/limited/more\n", "29 1 0:27 /limited /mnt/part rw - cgroup2 cgroup2 rw\n", 500 * MIB},
    {"version 1 without memory.stat", "3:memory:/own\n", FIRST, 512 * MIB},
    {"version 1 without memory.stat, its parent's", "3:memory:/own/more\n", FIRST, 512 * MIB},
    {"version 1's memory.stat without the line", "3:memory:/silent\n", FIRST, 256 * MIB},
    {"another controller's long line", "9:pids:/" X512 X512 "\n3:memory:/a\n", FIRST, 200 * MIB},
    {"another mount's long line", "0::/limited\n",
     "28 1 0:9 / /mnt/" X512 " rw - overlay overlay rw,lowerdir=" X512 X512 X512 X512 X512 X512 X512 X512 X512
     "\n" MOUNTED,
     400 * MIB},
    {"many optional fields", "0::/limited\n",
     "30 1 0:27 / /mnt/tree rw shared:4 master:2 propagate_from:1 unbindable - cgroup2 cgroup2 rw\n", 400 * MIB},
    {"a name that begins as the way up does", "0::/limited/..b\n", MOUNTED, 80 * MIB},
    {"outside of the namespace, and more than that is mounted", "0::/../limited\n",
     "30 1 0:27 /.. /mnt/tree rw - cgroup2 cgroup2 rw\n", 400 * MIB},
    {"others are mounted beside it and in it", "0::/limited\n",
     MOUNTED "31 30 0:9 / /mnt/tree/limited/free rw - tmpfs x rw\n32 30 0:9 / /mnt/tree/lim rw - tmpfs x rw\n"
             "33 1 0:9 / /mnt/tr rw - tmpfs x rw\n34 1 0:9 / /mnt/tree/limited/a rw - tmpfs x rw\n",
     400 * MIB},
    {"a new root over the old one", "0::/limited\n", MOUNTED "31 1 0:9 / / rw - ext4 /dev/a rw\n", 400 * MIB},
    {"the mount that it is in comes later", "0::/limited\n", MOUNTED "1 20 0:9 / /mnt rw - tmpfs x rw\n", 400 * MIB},
    {"mounted in others", "0::/\n", IN_OTHERS, 400 * MIB},
    {"mounted in others that come later", "0::/limited\n",
     MOUNTED "1 20 0:9 / /mnt rw - tmpfs x rw\n20 7 0:9 / / rw - tmpfs x rw\n", 400 * MIB},
    {"mounts that are covered themselves cover nothing", "0::/\n",
     IN_OTHERS "23 20 0:6 / /mnt/tree/limited rw - tmpfs x rw\n24 1 0:6 / /mnt/tree/limited rw - tmpfs x rw\n"
               "25 23 0:6 / /mnt/tree/limited rw - tmpfs x rw\n",
     400 * MIB},
    {"two at one place, of which this is the later one", "0::/limited\n",
     "29 1 0:9 / /mnt/tree rw - tmpfs x rw\n" MOUNTED, 400 * MIB},
    {"a mount that is its own parent", "0::/limited\n", "30 30 0:27 / /mnt/tree rw - cgroup2 cgroup2 rw\n",
     400 * MIB},
    {"version 1 without memory.stat, its parent's limit is not for it", "3:memory:/flat/own\n", FIRST, 512 * MIB},
    {"version 1 without memory.stat, its parent's limit is for it", "3:memory:/deep/own\n", FIRST, 300 * MIB},
    {"version 1 without memory.stat, its parent's limit goes no further", "3:memory:/flat/deep/own\n", FIRST,
     350 * MIB},
    {"version 1, and its parent's limit, which can't be read, is not for it", "3:memory:/mute/own\n", FIRST,
     512 * MIB},
    {"in no group", "", MOUNTED, ZMALLOC_NO_LIMIT},
    {"in none of memory", "4:cpu:/x\n1:name=memory:/a\n3:memory2:/a\n", OTHERS, ZMALLOC_NO_LIMIT},

    {"nothing mounted", "0::/limited\n", OTHERS, ZMALLOC_UNKNOWN},
    {"no mounts at all", "0::/limited\n", "", ZMALLOC_UNKNOWN},
    {"version 1's is not mounted", "3:memory:/a\n0::/limited\n", OTHERS MOUNTED, ZMALLOC_UNKNOWN},
    {"version 1's folder has no figures", "3:memory:/b\n", "30 1 0:27 / /mnt/first rw - cgroup cgroup rw,memory\n",
     ZMALLOC_UNKNOWN},
    {"version 1's figure is none", "3:memory:/odd\n", "30 1 0:27 / /mnt/first rw - cgroup cgroup rw,memory\n",
     ZMALLOC_UNKNOWN},
    {"a folder that isn't there", "0::/nowhere\n", MOUNTED, ZMALLOC_UNKNOWN},
    {"a mount point that isn't there", "0::/limited\n", "30 1 0:27 / /mnt/a\\040b rw - cgroup2 cgroup2 rw\n",
     ZMALLOC_UNKNOWN},
    {"a group above that has no figure to be read", "3:memory:/b/own\n", FIRST, ZMALLOC_UNKNOWN},
    {"another file system is mounted over the group's folder", "0::/limited/free\n",
     MOUNTED "31 30 0:9 / /mnt/tree/limited/free rw - tmpfs x rw\n", ZMALLOC_UNKNOWN},
    {"another file system is mounted over a group above it", "0::/limited/free\n",
     MOUNTED "31 30 0:9 / /mnt/tree/limited rw - tmpfs x rw\n", ZMALLOC_UNKNOWN},
    {"another file system is mounted over a folder above the tree", "0::/limited\n",
     MOUNTED "31 1 0:9 / /mnt rw - tmpfs x rw\n", ZMALLOC_UNKNOWN},
    {"another file system is mounted over a mount far above the tree", "0::/\n",
     IN_OTHERS "23 20 0:6 / /mnt rw - tmpfs x rw\n", ZMALLOC_UNKNOWN},
    {"another one was moved there", "0::/\n", "19 20 0:6 / /mnt rw - tmpfs x rw\n" IN_OTHERS, ZMALLOC_UNKNOWN},
    {"another one is over a folder far above the tree", "0::/limited\n",
     "1 6 0:9 / /mnt rw - tmpfs x rw\n" MOUNTED "31 6 0:9 / / rw - tmpfs x rw\n32 6 0:9 / /mnt rw - tmpfs x rw\n",
     ZMALLOC_UNKNOWN},
    {"two at one place, of which this is the earlier one", "0::/limited\n",
     MOUNTED "31 1 0:9 / /mnt/tree rw - tmpfs x rw\n", ZMALLOC_UNKNOWN},
    {"outside of the namespace, and not far enough", "0::/../../limited\n",
     "30 1 0:27 /.. /mnt/tree rw - cgroup2 cgroup2 rw\n", ZMALLOC_UNKNOWN},
    {"outside of what is mounted", "0::/limited\n", "30 1 0:27 /outer /mnt/tree rw - cgroup2 cgroup2 rw\n",
     ZMALLOC_UNKNOWN},
    {"beside what is mounted", "0::/outerlimited\n", "30 1 0:27 /outer /mnt/tree rw - cgroup2 cgroup2 rw\n",
     ZMALLOC_UNKNOWN},
    {"above what is mounted", "0::/\n", "30 1 0:27 /../.. /mnt/tree rw - cgroup2 cgroup2 rw\n", ZMALLOC_UNKNOWN},
    {"outside of the namespace", "0::/../limited\n", MOUNTED, ZMALLOC_UNKNOWN},
    {"the group above the namespace's", "0::/..\n", MOUNTED, ZMALLOC_UNKNOWN},
    {"neither a number nor max", "0::/odd\n", MOUNTED, ZMALLOC_UNKNOWN},
    {"an empty file", "0::/empty\n", MOUNTED, ZMALLOC_UNKNOWN},
    {"torn lines", "0::/limited\n", "30 1 0:27\n30 1 0:27 / /mnt/tree rw - cgroup2\n - cgroup2 x rw\n - \n\n",
     ZMALLOC_UNKNOWN},
    {"a line too long", NULL, MOUNTED, ZMALLOC_UNKNOWN},
};

static void make_group(const char *path, const char *file, const char *text)
{
    char whole[LONGEST_PATH];
    snprintf(whole, sizeof(whole), "/mnt/%s", path);
    check(mkdir(whole, 0755) == 0);
    if (file != NULL) {
        snprintf(whole, sizeof(whole), "/mnt/%s/%s", path, file);
        write_file(whole, text);
    }
}

static void make_tree(void)
{
    static const char file[] = "memory.max";
    static const char file_1[] = "memory.limit_in_bytes";
    check(mount("tmpfs", "/mnt", "tmpfs", 0, NULL) == 0);
    make_group("tree", "cgroup.procs", "");
    make_group("cpu", NULL, NULL);
    make_group("t ree", NULL, NULL);
    make_group("t ree/limited", file, "31457280\n");
    make_group("t\\040ree", file, "20971520\n");
    make_group("t\\089ree", file, "10485760\n");
    make_group("part", file, "max\n");
    make_group("part/more", file, "524288000\n");
    make_group("tree/li mited", file, "62914560\n");
    make_group("tree/free", file, "max\n");
    make_group("tree/free/free", file, "max\n");
    make_group("tree/free/limited", file, "314572800\n");
    make_group("tree/limited", file, "419430400\n");
    make_group("tree/limited/free", file, "max\n");
    make_group("tree/limited/free/a", NULL, NULL);
    make_group("tree/limited/free/a/b", file, "max");
    make_group("tree/limited/free/a/b/c", NULL, NULL);
    make_group("tree/limited/bare", NULL, NULL);
    make_group("tree/limited/more", file, "524288000\n");
    make_group("tree/limited/less", file, "104857600");
    make_group("tree/limited/a:b", file, "52428800\n");
    make_group("tree/limited/..b", file, "83886080\n");
    make_group("tree/zero", file, "0\n");
    make_group("tree/huge", file, "99999999999999999999999999999\n");
    make_group("tree/large", file, "5368709120\n");
    make_group("tree/most", file, "4294967293\n");
    make_group("tree/none", file, "4294967294\n");
    make_group("tree/unknown", file, "4294967295\n");
    make_group("tree/odd", file, "some\n");
    make_group("tree/empty", file, "");
    /* What is no part of the tree. */
    make_group("limited", file, "1048576\n");
    make_group("treelimited", file, "1048576\n");
    make_group("first", NULL, NULL);
    make_group("first/a", "memory.stat",
               "cache 4096\nx_hierarchical_memory_limit 5\nhierarchical_memory_limit 209715200\n"
               "hierarchical_memsw_limit 300\ntotal_cache 0\n");
    make_group("first/b", "memory.stat", "cache 4096\ntotal_cache 0\n");
    make_group("first/b/own", "memory.limit_in_bytes", "4096000\n");
    make_group("first/own", "memory.limit_in_bytes", "536870912\n");
    make_group("first/own/more", "memory.limit_in_bytes", "9223372036854771712\n");
    make_group("first/flat", file_1, "314572800\n");
    write_file("/mnt/first/flat/memory.use_hierarchy", "0\n");
    make_group("first/flat/own", file_1, "536870912\n");
    make_group("first/flat/deep", file_1, "367001600\n");
    write_file("/mnt/first/flat/deep/memory.use_hierarchy", "1\n");
    make_group("first/flat/deep/own", file_1, "536870912\n");
    make_group("first/deep", file_1, "314572800\n");
    write_file("/mnt/first/deep/memory.use_hierarchy", "1\n");
    make_group("first/deep/own", file_1, "536870912\n");
    make_group("first/mute", "memory.use_hierarchy", "0\n");
    make_group("first/mute/own", file_1, "536870912\n");
    make_group("first/silent", "memory.stat", "");
    write_file("/mnt/first/silent/memory.limit_in_bytes", "268435456\n");
    write_file("/mnt/first/memory.limit_in_bytes", "9223372036854771712\n");
    make_group("first/none", "memory.stat", "hierarchical_memory_limit 9223372036854771712\n");
    make_group("first/odd", "memory.stat", "hierarchical_memory_limit \n");
}

static void say(const char *file, const char *text)
{
    char made[64];
    char path[64];
    snprintf(made, sizeof(made), "/mnt/%s", file);
    snprintf(path, sizeof(path), "/proc/%d/%s", (int) getpid(), file);
    write_file(made, text);
    static int covered;
    if (covered < 2) {
        covered++;
        if (mount(made, path, NULL, MS_BIND, NULL) != 0) {
            not_here("this kernel lets nothing be mounted there");
        }
    }
}

static void ask_of_what_is_said(void)
{
    static char too_long[8000];
    memset(too_long, 'x', sizeof(too_long));
    memcpy(too_long, "0::/limited/", strlen("0::/limited/"));
    too_long[sizeof(too_long) - 2] = '\n';
    too_long[sizeof(too_long) - 1] = '\0';
    leave_mount_namespace();
    make_tree();
    bool right = true;
    for (size_t i = 0; i < LENGTH(said); i++) {
        say("cgroup", said[i].cgroup != NULL ? said[i].cgroup : too_long);
        say("mountinfo", said[i].mountinfo);
        size_t found = limits_now().cgroup;
        if (found != said[i].cgroup_limit) {
            fprintf(stderr, "%s: %zu\n", said[i].name, found);
            right = false;
        }
    }
    check(right);
    say("cgroup", "0::/nowhere\n");
    say("mountinfo", MOUNTED);
    size_t bytes = 1;
    check(zmalloc_memory_limit(&bytes) == -ENOENT && bytes == 0);
    say("mountinfo", OTHERS);
    bytes = 1;
    check(zmalloc_memory_limit(&bytes) == -ENODATA && bytes == 0);
    say("cgroup", "0::/limited\n");
    say("mountinfo", MOUNTED);
    check(zmalloc_memory_limit(&bytes) == 0 && bytes <= 400 * MIB);
}

static void test_what_may_be_said_of_control_groups(void **state)
{
    (void) state;
    run_in_child(ask_of_what_is_said);
}

static const struct CMUnitTest tests[] = {
    tidy(test_control_group_of_version_1),
    tidy(test_control_group_in_a_namespace),
    tidy(test_control_group_under_another_mount),
    tidy(test_what_may_be_said_of_control_groups),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
