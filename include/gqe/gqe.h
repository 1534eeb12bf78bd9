/*
 * gqe: Grouped Query Experts attention on Vulkan.
 *
 * The attention is the one of "Grouped Query Experts: Mixture-of-Experts on GQA Self-Attention" (arXiv 2606.20945, "the paper"
 * below). Symbols used in shapes, everywhere in this header:
 *
 *     B  sequences in a batch        T  tokens in a sequence        d  hidden size
 *     N  routed query-head experts   G  groups, = KV heads          M  = N/G, experts in a group
 *     k  experts a token runs in each group (top-k)                 d_h  head size (head_dim)
 *
 * Rules that hold for every function:
 *
 *  - Failure. A function that can fail returns a gqe_status and takes a `gqe_error *` as its last parameter. The error is owned by
 *    the caller, may be NULL, and is written only on failure. Output parameters are written only on success, except that a created
 *    object's pointer is set to NULL on failure. The library never aborts, exits or prints.
 *  - Ownership. What `gqe_X_create`, `gqe_X_open` or `gqe_X_load` returns is released by `gqe_X_destroy(&x)`, which sets the
 *    pointer to NULL and accepts a pointer to NULL. Pointers passed in are read during the call only, unless said otherwise.
 *  - Order. A context outlives the models, layers and sessions made from it; a model outlives its sessions.
 *  - NULL. A required pointer that is NULL is GQE_ERROR_USAGE. Functions that return no status take NULL for an object, too: they
 *    do nothing, or return NULL, 0 or zeros.
 *  - Params structs. The first field is `size` = sizeof of the struct; a field left zero means its default. A struct from an older
 *    header (a smaller `size`) is accepted, a `size` of 0 is GQE_ERROR_USAGE.
 *  - Threads. There is no global state: different contexts are independent. Each function is of one of these kinds:
 *      [any]     may be called from any thread at any time, as long as what it is given exists
 *      [object]  one thread at a time for its first argument; other models, layers and sessions of the same context may be used
 *                from other threads meanwhile. All functions that do not say otherwise are of this kind, except that those
 *                which are given no object of the library are [any].
 *      [context] no other call on the context, or on what was made from it, may run meanwhile
 *    A callback runs on the thread of the call that it belongs to, and must not call functions of the same object.
 *  - Tensors are dense and row-major, the last index moves fastest; strides are never needed.
 *  - Values are not looked at. Weights or inputs with NaN or infinity among them give results with such, and GQE_OK.
 */
#ifndef GQE_GQE_H
#define GQE_GQE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Stands before every function that the library exports. */
#if defined(_WIN32) && defined(GQE_SHARED)
#ifdef GQE_BUILDING
#define GQE_API __declspec(dllexport)
#else
#define GQE_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define GQE_API __attribute__((visibility("default")))
#else
#define GQE_API
#endif

#define GQE_VERSION_MAJOR 0 /* grows when programs that used an earlier one must be changed */
#define GQE_VERSION_MINOR 1 /* grows with what is added */
#define GQE_VERSION_PATCH 0 /* grows with what is mended */
/* This header's version as one number that grows. */
#define GQE_VERSION ((GQE_VERSION_MAJOR << 16) | (GQE_VERSION_MINOR << 8) | GQE_VERSION_PATCH)

/* The GQE_VERSION that the library was built with. [any] */
GQE_API uint32_t gqe_version(void);

/* ---------------------------------------------------------------------------------------------------------------- errors -- */

/* The values are the exit codes of the program `gqe`. */
typedef enum gqe_status {
	GQE_OK = 0,              /* done */
	GQE_ERROR_INTERNAL = 1,  /* a driver call failed in a way that none of the others names; the message has the VkResult */
	GQE_ERROR_USAGE = 2,     /* an argument of the call is wrong */
	GQE_ERROR_NO_DEVICE = 3, /* no Vulkan loader, no driver, or no device that fits */
	GQE_ERROR_BAD_INPUT = 4, /* a file or a config is wrong; the message names the file, the tensor or key, and the remedy */
	GQE_ERROR_OUT_OF_MEMORY = 5, /* host or device memory is exhausted, or the request is over the memory limit */
	GQE_ERROR_DEVICE_LOST = 6,   /* the context is unusable; destroy it and what was made from it, then create another */
	GQE_ERROR_VERIFICATION = 7,  /* a self-test did not agree with the reference */
	GQE_CANCELLED = 130          /* gqe_session_cancel, or a callback, asked to stop */
} gqe_status;

/* "ok", "bad input", ... Never NULL, static. [any] */
GQE_API const char *gqe_status_name(gqe_status status);

/* Why a call failed; owned by the caller. */
typedef struct gqe_error {
	gqe_status status;  /* what the call returned */
	char message[1024]; /* one English sentence or two, UTF-8, no newline at the end */
} gqe_error;

/* How much a message matters; a lower value matters more. */
typedef enum gqe_log_level {
	GQE_LOG_ERROR = 1,   /* a driver call failed, or the validation layer found something */
	GQE_LOG_WARNING = 2, /* works, but not as well as it could */
	GQE_LOG_INFO = 3,    /* what was chosen, and why */
	GQE_LOG_DEBUG = 4    /* for whoever works on the library */
} gqe_log_level;

/*
 * Called on the thread that runs a gqe function (validation messages: on any thread the driver likes), so at once on several if
 * they use one context. Must not call functions of that context. `message` has no newline.
 */
typedef void (*gqe_log_fn)(void *user, gqe_log_level level, const char *message);

/* Work so far and in all, both in the same arbitrary unit, total > 0. Return false to cancel. */
typedef bool (*gqe_progress_fn)(void *user, double done, double total);

/* --------------------------------------------------------------------------------------------------------------- devices -- */

/* What kind of device a Vulkan driver says it drives. */
typedef enum gqe_device_type {
	GQE_DEVICE_DISCRETE = 1, /* a GPU with memory of its own */
	GQE_DEVICE_INTEGRATED,   /* a GPU that shares the processor's memory */
	GQE_DEVICE_VIRTUAL,      /* a part of a GPU, in a virtual machine */
	GQE_DEVICE_CPU,          /* a Vulkan driver that computes on the CPU */
	GQE_DEVICE_OTHER         /* none of these, or a driver that could not be asked */
} gqe_device_type;

/* How a kernel is written for a class of devices; a device gets every path it has the features for. */
typedef enum gqe_path {
	GQE_PATH_SCALAR = 1,   /* Vulkan 1.2, nothing else */
	GQE_PATH_SUBGROUP = 2, /* operands travel by subgroup broadcast; any subgroup size 4...64 */
	GQE_PATH_PACKED = 3,   /* f16 arithmetic, two at a time; needs shaderFloat16 */
	GQE_PATH_MATRIX = 4,   /* VK_KHR_cooperative_matrix, f16 factors and f32 sums */
	GQE_PATH_MATRIX2 = 5   /* VK_NV_cooperative_matrix2: the softmax stays in the matrices */
} gqe_path;

/* "scalar", "subgroup", "packed", "matrix", "matrix2"; "?" for anything else. Static. [any] */
GQE_API const char *gqe_path_name(gqe_path path);

/* Products of an m x k by a k x n matrix. */
typedef struct gqe_matrix_shape {
	uint32_t m; /* rows of the first factor and of the product */
	uint32_t n; /* columns of the second factor and of the product */
	uint32_t k; /* columns of the first factor, rows of the second */
} gqe_matrix_shape;

/* Most shapes that gqe_device_info lists. */
#define GQE_MAX_MATRIX_SHAPES 8

/*
 * How a GQE layer gets the queries of the slots: for each expert those of the tokens that selected it, or all experts' queries in
 * one product that keeps what was selected. Both compute the same; which is faster depends on the device and on the number of
 * tokens.
 */
typedef enum gqe_query_mode {
	GQE_QUERIES_GATHERED = 1,
	GQE_QUERIES_DENSE,
} gqe_query_mode;

/* "gathered" or "dense". [any] */
GQE_API const char *gqe_query_mode_name(gqe_query_mode mode);

/*
 * What a device and driver make of a path. Before the paths packed, matrix and matrix2 are used by default for the first time, each
 * kernel is compared with the reference on small shapes, and timed against the subgroup path, in at most 200 ms together, pipelines
 * aside. One that is not in order is disabled: the kernel runs on the next path below. The verdict is kept in the cache folder.
 */
typedef enum gqe_path_verdict {
	GQE_PATH_UNCHECKED = 1, /* not used yet by default */
	GQE_PATH_CHECKED,       /* right, and not slow; if there was no time to see that, the next context checks again */
	GQE_PATH_SLOW,          /* disabled: right, but takes more than 5 times as long as the subgroup path */
	GQE_PATH_WRONG,         /* disabled: results beyond the tolerance, memory overwritten, or other results in a second run */
	GQE_PATH_FAILED         /* disabled: the driver gave an error, or the check began twice and never ended */
} gqe_path_verdict;

/* "unchecked", "checked", "slow", "wrong", "failed"; "?" for anything else. Static. [any] */
GQE_API const char *gqe_path_verdict_name(gqe_path_verdict verdict);

/* What is known of one path of one kernel. */
typedef struct gqe_path_check {
	char kernel[16];          /* "attention", "gemm", "gemm_gathered" */
	gqe_path path;            /* PACKED or above */
	gqe_path_verdict verdict; /* attention is checked for each head size that is used: the worst */
	uint32_t head_dim;        /* attention's, that the rest is about; 0: nothing was checked, or another kernel */
	double error;             /* relative L2, of the case that failed or came nearest to it */
	double tolerance;         /* for `error`; 0: nothing was compared */
	double slowdown;          /* time over that of the subgroup path; 0: not measured */
	char text[128];           /* the verdict in words */
} gqe_path_check;

/* Most checks that gqe_device_info lists. */
#define GQE_MAX_PATH_CHECKS 8

/* What a device is and has; nothing in it points anywhere. */
typedef struct gqe_device_info {
	uint32_t index;                                        /* position in the list; what `--device 0` means */
	bool usable;                                           /* false: `rejected` says why */
	char rejected[256];                                    /* "" when usable */
	char name[256];                                        /* as the driver calls it, UTF-8 */
	gqe_device_type type;                                  /* as the driver says */
	uint8_t uuid[16];                                      /* the same for this device and driver from run to run */
	uint32_t vendor_id;                                    /* PCI's, or Khronos's for vendors without */
	uint32_t device_id;                                    /* the vendor's own number */
	uint32_t api_version;                                  /* as VK_MAKE_API_VERSION */
	uint32_t driver_version;                               /* the driver's own encoding */
	char driver_name[256];                                 /* "llvmpipe", "radv", ... */
	char driver_info[256];                                 /* "Mesa 22.3.6 (LLVM 15.0.6)" */
	uint64_t heap_bytes;                                   /* size of the largest device-local heap */
	uint64_t max_allocation_bytes;                         /* of one allocation of device memory */
	uint64_t max_storage_buffer_bytes;                     /* of one descriptor; for display, as no kernel uses descriptors */
	uint32_t shared_memory_bytes;                          /* of one workgroup */
	uint32_t max_workgroup_invocations;                    /* of one workgroup */
	uint32_t subgroup_size;                                /* lanes, unless a kernel asks for another size */
	uint32_t subgroup_size_min;                            /* the sizes that a kernel may ask for: powers of two from this... */
	uint32_t subgroup_size_max;                            /* ...to this */
	bool has_16bit_storage;                                /* GQE_DTYPE_F16 is possible */
	bool has_float16;                                      /* arithmetic in f16 */
	bool has_timestamps;                                   /* kernels are timed by the device */
	uint32_t path_count;                                   /* of paths */
	gqe_path paths[8];                                     /* the paths this device gets, the preferred one last */
	uint32_t matrix_shape_count;                           /* of matrix_shapes */
	gqe_matrix_shape matrix_shapes[GQE_MAX_MATRIX_SHAPES]; /* cooperative matrices with f16 factors and f32 sums */
	uint32_t quirks; /* known driver problems that are worked around, a bit each, for display only: see gqe_quirk_name */
	uint32_t path_check_count; /* of path_checks */
	/*
	 * Of every kernel and path that is checked on first use. A list's are what the user's cache folder holds; a context's, what
	 * its folder held when it was made: see gqe_context_path_checks.
	 */
	gqe_path_check path_checks[GQE_MAX_PATH_CHECKS];
} gqe_device_info;

/* "loop_limit", ...: what bit `bit` of gqe_device_info.quirks stands for; NULL past the last. Static. Thread-safe. */
GQE_API const char *gqe_quirk_name(uint32_t bit);

/* From gqe_device_list_create or gqe_device_list_probe. */
typedef struct gqe_device_list {
	uint32_t count;                 /* of devices; 0 is possible */
	const gqe_device_info *devices; /* [count], in the order of the Vulkan loader; owned by the list */
} gqe_device_list;

/*
 * Lists every Vulkan device, the unusable ones included. Creates and destroys a VkInstance; no device is opened. An empty list
 * is GQE_OK; no loader on the machine is GQE_ERROR_NO_DEVICE. [any]
 */
GQE_API gqe_status gqe_device_list_create(gqe_device_list **list, gqe_error *error);
/*
 * The same, asked for in child processes: a driver that crashes or hangs when it is asked is listed as a device that is no use,
 * with that as the reason, and the others are listed beside it. Such a driver would take the process with it in gqe_context_create
 * too, as the Vulkan loader asks every driver that it finds. Forks; on Windows it is gqe_device_list_create. [any]
 */
GQE_API gqe_status gqe_device_list_probe(gqe_device_list **list, gqe_error *error);
/* Releases the list and the devices in it. [any] */
GQE_API void gqe_device_list_destroy(gqe_device_list **list);

/* --------------------------------------------------------------------------------------------------------------- context -- */

/* A device in use, with its pipelines and memory. */
typedef struct gqe_context gqe_context;

/* For gqe_context_create. */
typedef struct gqe_context_params {
	size_t size; /* sizeof(gqe_context_params) */
	/*
	 * Which device: NULL, "" or "auto" (discrete > integrated > virtual > CPU driver), an index of the list, the first hex
	 * digits of a UUID (at least 4), a part of the name or driver name (case does not matter), or "reference": the C reference
	 * in float64, no Vulkan at all.
	 */
	const char *device;
	/*
	 * Most bytes of device memory that this context may allocate; 0: 90% of the largest device-local heap (reference: no
	 * limit). A request that does not fit fails with GQE_ERROR_OUT_OF_MEMORY before anything runs.
	 */
	uint64_t memory_limit;
	/*
	 * 0: the best the device has, checked on first use (gqe_path_verdict). A path the device lacks is GQE_ERROR_USAGE; one that
	 * it has is used whatever is known against it, which is logged.
	 */
	gqe_path force_path;
	/*
	 * Folder for pipelines, measured tiles and checks of paths between runs; NULL: the user's cache folder (XDG_CACHE_HOME/gqe,
	 * HOME/.cache/gqe; LOCALAPPDATA on Windows); "": no cache on disk. A missing, stale or corrupt file is a miss, never an
	 * error.
	 */
	const char *cache_dir;
	bool validation; /* load VK_LAYER_KHRONOS_validation with synchronization checks; absent layer: GQE_ERROR_NO_DEVICE */
	/*
	 * Host threads of the reference, and of making pipelines (one if low_impact), which are started by a call and gone when it
	 * returns; 0: the number of processors.
	 */
	uint32_t threads;
	gqe_log_fn log;          /* NULL: silent */
	void *log_user;          /* `user` of log */
	gqe_log_level log_level; /* the least severe level that is reported; 0: GQE_LOG_WARNING */
	/*
	 * Work is submitted in pieces, whose length is chosen by how fast the pieces before were: how long one should take, in
	 * milliseconds (0: 50). A cancel waits for one piece, or, in a pass that is
	 * the first to need some, for one pipeline.
	 */
	uint32_t submit_target_ms;
	uint32_t submit_cap_ms; /* how long a piece may take (0: 500) */
	/*
	 * For an application that draws on the same device: pieces of at most 10 ms with pauses between them, on a queue of low
	 * priority where the driver has such.
	 */
	bool low_impact;
	const struct gqe_vulkan_import *vulkan; /* <gqe/gqe_vulkan.h>: the application's own Vulkan; NULL: the library's */
	gqe_query_mode force_queries;           /* 0: what is faster, as far as was measured */
} gqe_context_params;

/* Opens a device. `params` may be NULL. [any] */
GQE_API gqe_status gqe_context_create(const gqe_context_params *params, gqe_context **context, gqe_error *error);
/* After everything that was made from it. [context] */
GQE_API void gqe_context_destroy(gqe_context **context);

/* The device in use; NULL for the reference. Lives as long as the context. [any] */
GQE_API const gqe_device_info *gqe_context_device(const gqe_context *context);

/*
 * What is known by now of the device's paths; returns how many, 0 for the reference. Checks are made when a layer, model or bench
 * with 16-bit weights is created, and take memory of the device meanwhile. [any]
 */
GQE_API uint32_t gqe_context_path_checks(const gqe_context *context, gqe_path_check checks[GQE_MAX_PATH_CHECKS]);

/* Device memory of a context. */
typedef struct gqe_memory_info {
	uint64_t used;  /* bytes allocated from the device now */
	uint64_t peak;  /* the most so far */
	uint64_t limit; /* gqe_context_params.memory_limit, or what stood for 0; of the reference all three are 0 */
} gqe_memory_info;

/* How much device memory is in use, and may be. [any] */
GQE_API void gqe_context_memory(const gqe_context *context, gqe_memory_info *info);

/* Errors that the validation layer has reported so far; 0 when validation is off. [any] */
GQE_API uint32_t gqe_context_validation_errors(const gqe_context *context);

/* --------------------------------------------------------------------------------------------------------------- tensors -- */

/* What a tensor's elements are. */
typedef enum gqe_dtype {
	GQE_DTYPE_F32 = 1, /* IEEE 754 binary32 */
	GQE_DTYPE_F16,     /* IEEE 754 binary16 */
	GQE_DTYPE_BF16,    /* the upper half of an F32 */
	GQE_DTYPE_I32,     /* two's complement */
	GQE_DTYPE_I64,     /* two's complement */
	GQE_DTYPE_U8,      /* bytes */
	GQE_DTYPE_OTHER    /* a dtype of the file format that gqe does not compute with; listed, never read */
} gqe_dtype;

/* "F32", "F16", "BF16", "I32", "I64", "U8", "?". Static. [any] */
GQE_API const char *gqe_dtype_name(gqe_dtype dtype);
/* Bytes of one element; 0 for GQE_DTYPE_OTHER. [any] */
GQE_API size_t gqe_dtype_size(gqe_dtype dtype);

/* Most dimensions of a tensor. */
#define GQE_MAX_RANK 8

/* A tensor in host memory, dense and row-major; it owns nothing. */
typedef struct gqe_tensor {
	const char *name;             /* as in the file: "q_proj.weight" */
	gqe_dtype dtype;              /* of data */
	uint32_t rank;                /* 0...GQE_MAX_RANK */
	uint64_t shape[GQE_MAX_RANK]; /* [rank] */
	const void *data;             /* little-endian elements, not necessarily aligned when it comes from a file */
	uint64_t bytes;               /* of data: the product of the shape times gqe_dtype_size */
	const char *file;             /* the file it came from, for messages; may be NULL */
} gqe_tensor;

/* An open .safetensors file. */
typedef struct gqe_tensor_file gqe_tensor_file;

/*
 * Opens one .safetensors file, memory-mapped; the header is checked completely (truncated, overlapping or out-of-range offsets,
 * header over 100 MB, duplicate keys, shape against bytes), so that tensors can be read without further checks while the file is
 * not changed by others. Tensors are in the order of the file's header.
 */
GQE_API gqe_status gqe_tensor_file_open(const char *path, gqe_tensor_file **file, gqe_error *error);
/* Closes the file; its tensors are gone. */
GQE_API void gqe_tensor_file_destroy(gqe_tensor_file **file);
/* Tensors, owned by the file; the names and data live as long as it. `count` may be NULL. [any] */
GQE_API const gqe_tensor *gqe_tensor_file_tensors(const gqe_tensor_file *file, size_t *count);
/* The tensor of that name, or NULL. [any] */
GQE_API const gqe_tensor *gqe_tensor_file_find(const gqe_tensor_file *file, const char *name);
/*
 * Writes a .safetensors file: a temporary file beside `path`, renamed when complete, so `path` is never half-written. What could
 * not be read again is refused before anything is written. GQE_ERROR_USAGE: a tensor without a name, or named "__metadata__" or
 * with a control character; dtype GQE_DTYPE_OTHER; `bytes` that are not the shape times the dtype; no data. GQE_ERROR_BAD_INPUT:
 * two tensors of one name, a name that is not UTF-8, a `path` that is there and no regular file, or that cannot be written.
 */
GQE_API gqe_status gqe_tensor_file_write(const char *path, const gqe_tensor *tensors, size_t count, gqe_error *error);

/* ----------------------------------------------------------------------------------------------------------------- layer -- */

/* Which query heads a token runs. */
typedef enum gqe_attention {
	GQE_ATTENTION_GQE = 1, /* the router's choice of k in each group (paper, section 3.1) */
	GQE_ATTENTION_GQA = 2  /* all of them */
} gqe_attention;

/* How Q and K are rotated by position. */
typedef enum gqe_rope {
	GQE_ROPE_HALF = 1,    /* channel i with channel i + d_h/2, as Llama does */
	GQE_ROPE_INTERLEAVED, /* channel 2i with channel 2i + 1 */
	GQE_ROPE_NONE         /* not at all */
} gqe_rope;

/* What the shared query head attends to (paper, section 3.2). */
typedef enum gqe_shared_kv {
	GQE_SHARED_KV_GROUP = 1, /* K and V of one of the G groups */
	GQE_SHARED_KV_DEDICATED, /* K and V of its own, projected from x */
	GQE_SHARED_KV_MEAN       /* the mean of the groups' K, and of their V */
} gqe_shared_kv;

/* In which order a group's selected experts fill its slots. */
typedef enum gqe_slot_order {
	GQE_SLOT_ORDER_RANK = 1, /* the most probable first */
	GQE_SLOT_ORDER_EXPERT    /* by their number */
} gqe_slot_order;

/* One attention layer. All fields are explicit here; there are no defaults. Limits: see gqe_layer_config_check. */
typedef struct gqe_layer_config {
	uint32_t hidden_size;      /* d */
	uint32_t heads;            /* N (paper: number of query heads H); num_attention_heads in a config.json and in messages */
	uint32_t kv_heads;         /* G; num_key_value_heads there */
	uint32_t head_dim;         /* d_h */
	gqe_attention attention;   /* GQA: dense grouped-query attention with all N heads; the fields from top_k on are ignored */
	gqe_rope rope;             /* of Q and K; rope_style there */
	double rope_theta;         /* base of RoPE's angles; 10000 in most models */
	uint32_t top_k;            /* k (paper, section 3.1) */
	bool shared_head;          /* always-on shared query head (paper, section 3.2) */
	gqe_shared_kv shared_kv;   /* which K and V the shared head attends to */
	uint32_t shared_kv_group;  /* the group, for GQE_SHARED_KV_GROUP */
	bool weighted_sum_slot;    /* renormalised weighted sum of the selected outputs (paper, section 3.3) */
	bool scale_expert_slots;   /* "weighted concat" of the paper's Table 2 */
	gqe_slot_order slot_order; /* of a group's selected experts */
} gqe_layer_config;

/*
 * GQE_OK when the config is computable: sizes positive, G divides N, 1 <= k <= M, N <= 1024, M <= 64, d_h even and <= 256,
 * d <= 65536, theta finite and > 0. GQE_ERROR_BAD_INPUT otherwise.
 */
GQE_API gqe_status gqe_layer_config_check(const gqe_layer_config *config, gqe_error *error);
/*
 * Reads the layer of a config.json. Its keys, all required:
 *
 *     hidden_size  num_attention_heads (heads)  num_key_value_heads (kv_heads)  head_dim
 *     attention: "gqe", "gqa"   rope_style: "half", "interleaved", "none"   rope_theta (not for "none")
 *     gqe, for attention "gqe": an object with
 *         top_k  shared_head  weighted_sum_slot  scale_expert_slots   slot_order: "rank", "expert"
 *         shared_kv, with shared_head: "group_0"..."group_{G-1}", "dedicated", "mean"
 *
 * Unknown keys of the object gqe are GQE_ERROR_BAD_INPUT, others are ignored, as a model's config.json has them too
 * (gqe_model_files_open).
 */
GQE_API gqe_status gqe_layer_config_read(const char *path, gqe_layer_config *config, gqe_error *error);

/* One attention layer with its weights, KV cache and position. */
typedef struct gqe_layer gqe_layer;

/* For gqe_layer_create. */
typedef struct gqe_layer_params {
	size_t size;                    /* sizeof(gqe_layer_params) */
	const gqe_layer_config *config; /* copied; required */
	/*
	 * The layer's tensors, [out, in] as PyTorch's nn.Linear has them; S: 1 with shared_head, else 0:
	 *
	 *     q_proj.weight   [(N + S) * d_h, d]  experts in the groups' order, the shared head's rows last
	 *     k_proj.weight   [G * d_h, d]        v_proj.weight the same
	 *     router.weight   [N, d]              GQE only
	 *     o_proj.weight   [d, slots * d_h]    slots: k of the first group, k of the next, ...; the weighted-sum slot and the
	 *                                         shared head's, where the config has them; of GQA: N
	 *     k_shared_proj.weight [d_h, d]       v_shared_proj.weight the same; GQE_SHARED_KV_DEDICATED only
	 *
	 * Each may have a `.bias` [out]. F32, F16 or BF16. A missing, an unknown, or a wrongly shaped tensor is
	 * GQE_ERROR_BAD_INPUT. Copied to the device.
	 */
	const gqe_tensor *tensors;
	size_t tensor_count; /* of tensors */
	/*
	 * F32 (0: default), or F16: 16-bit weights and KV cache, f32 accumulation; the router stays f32. The reference takes
	 * either and rounds nothing to 16 bits. F16 on a device without 16-bit storage, or an application's device on which
	 * storageBuffer16BitAccess is not enabled, is GQE_ERROR_NO_DEVICE: see gqe_device_info.has_16bit_storage.
	 */
	gqe_dtype dtype;
	uint32_t batch; /* B, 0: 1 */
	/*
	 * Capacity of the KV cache, in tokens a sequence; required. Kernels have 32-bit indices, so these may be 2^31 - 1:
	 * max_tokens * d_h, and B * chunk times the widest row of a pass (d, N, or d_h times the heads of Q, of K, or the slots);
	 * and this 2^32 - 1: B * max_tokens times the heads of the cache. More is GQE_ERROR_USAGE.
	 */
	uint32_t max_tokens;
	/* Most tokens a sequence in one pass; sizes the scratch memory. 0, or more than max_tokens: max_tokens. */
	uint32_t chunk;
	const struct gqe_vulkan_kv_cache *kv_cache; /* <gqe/gqe_vulkan.h>: the application's; NULL: the layer's own */
} gqe_layer_params;

/* Copies the weights to the device and allocates the KV cache. [any] */
GQE_API gqe_status gqe_layer_create(gqe_context *context, const gqe_layer_params *params, gqe_layer **layer, gqe_error *error);
/* Waits for what runs with it. */
GQE_API void gqe_layer_destroy(gqe_layer **layer);

/* One pass of gqe_layer_forward; host memory of the caller. */
typedef struct gqe_layer_io {
	size_t size;      /* sizeof(gqe_layer_io) */
	uint32_t tokens;  /* T: tokens appended to each of the B sequences, 1...chunk */
	const float *x;   /* in  [B, T, d] */
	float *y;         /* out [B, T, d]; NULL: only K and V are computed and cached, nothing attends */
	int32_t *experts; /* out [B, T, G, k], each group's selected experts (0...M-1) in slot order; NULL: not wanted; GQE only */
	float *gate;      /* out [B, T, G, k], w of the paper's weighted sum (sums to 1 over G and k); NULL: not wanted; GQE only */
} gqe_layer_io;

/* Appends T tokens to each sequence at the current position and attends to all cached ones. Blocks until done. */
GQE_API gqe_status gqe_layer_forward(gqe_layer *layer, const gqe_layer_io *io, gqe_error *error);
/* Makes the running or the next gqe_layer_forward return GQE_CANCELLED, with the position as it was. [any] */
GQE_API void gqe_layer_cancel(gqe_layer *layer);
/* Tokens cached in each sequence. */
GQE_API uint32_t gqe_layer_position(const gqe_layer *layer);
/*
 * Sets the position; `position` <= gqe_layer_position drops the later tokens, 0 starts anew. A greater one leaves a gap whose K
 * and V are zeros and is meant for measurements; it must be <= max_tokens.
 */
GQE_API gqe_status gqe_layer_seek(gqe_layer *layer, uint32_t position, gqe_error *error);

/* ----------------------------------------------------------------------------------------------------------------- model -- */

/* What stands before attention, before the MLP, and before the logits. */
typedef enum gqe_norm {
	GQE_NORM_RMSNORM = 1, /* x / rms(x) * weight */
	GQE_NORM_LAYERNORM    /* (x - mean(x)) / sd(x) * weight + bias */
} gqe_norm;

/* What follows attention in every layer. */
typedef enum gqe_mlp {
	GQE_MLP_SWIGLU = 1, /* down(silu(gate(x)) * up(x)) */
	GQE_MLP_GELU        /* down(gelu(up(x))) */
} gqe_mlp;

/* A transformer around the layer, as its config.json says; `layers` is the key num_hidden_layers, the others have their names. */
typedef struct gqe_model_config {
	gqe_layer_config layer;           /* of every layer; they are alike */
	uint32_t layers;                  /* how many */
	uint32_t intermediate_size;       /* channels inside the MLP */
	uint32_t vocab_size;              /* token ids are 0...vocab_size-1 */
	gqe_norm norm;                    /* all of them */
	double norm_eps;                  /* added to the variance, or mean square */
	gqe_mlp mlp;                      /* in every layer */
	bool tie_word_embeddings;         /* the logits' matrix is the embedding's */
	uint32_t max_position_embeddings; /* the length the model was trained for; a longer context is allowed */
	char tokenizer[256];              /* "bytes", or a file name in the model's folder */
} gqe_model_config;

/* A model folder's files, opened and checked, nothing on a device. Cheap: weights are memory-mapped. */
typedef struct gqe_model_files gqe_model_files;

/*
 * Opens `folder`/config.json and model.safetensors (or model.safetensors.index.json and its shards) and checks every tensor's
 * name, dtype and shape against the config. Hugging Face Llama-family configs (model_type llama, mistral, qwen2) load as GQA.
 *
 * config.json has the layer's keys (gqe_layer_config_read) and
 *     num_hidden_layers  intermediate_size  vocab_size  max_position_embeddings
 *     norm: "rmsnorm", "layernorm"   norm_eps   mlp: "swiglu", "gelu"
 * and may have
 *     tie_word_embeddings (false)   tokenizer: "bytes", or a file's name (none: the model takes token ids only)
 *
 * The tensors are named as Llama's are; I is a layer, 0...layers-1:
 *     model.embed_tokens.weight [vocab_size, d]                     lm_head.weight [vocab_size, d], unless tied
 *     model.norm.weight [d]                                         before the logits
 *     model.layers.I.input_layernorm.weight [d]                     before attention
 *     model.layers.I.self_attn.* with the names and shapes of gqe_layer_params.tensors
 *     model.layers.I.post_attention_layernorm.weight [d]            before the MLP
 *     model.layers.I.mlp.up_proj.weight [intermediate_size, d]      mlp.gate_proj.weight the same, SwiGLU only
 *     model.layers.I.mlp.down_proj.weight [d, intermediate_size]
 * Projections, lm_head and layernorms may have a `.bias`. A missing, an unknown, or a wrongly shaped tensor is GQE_ERROR_BAD_INPUT.
 */
GQE_API gqe_status gqe_model_files_open(const char *folder, gqe_model_files **files, gqe_error *error);
/* Closes them; models that were loaded from them stay. */
GQE_API void gqe_model_files_destroy(gqe_model_files **files);
/* The config; lives as long as the files. [any] */
GQE_API const gqe_model_config *gqe_model_files_config(const gqe_model_files *files);
/* All tensors, [*count], owned by the files; the names and data live as long as they. `count` may be NULL. [any] */
GQE_API const gqe_tensor *gqe_model_files_tensors(const gqe_model_files *files, size_t *count);

/* Bytes of device memory, as the library allocates it; within 5% of what gqe_context_memory reports afterwards. */
typedef struct gqe_memory_estimate {
	uint64_t weights;  /* of the model, whatever the session */
	uint64_t kv_cache; /* grows linearly with max_tokens */
	uint64_t scratch;  /* grows linearly with chunk */
	uint64_t total;    /* of it all */
	uint32_t chunk;    /* the session's chunk, or what it would choose */
} gqe_memory_estimate;

/* For gqe_session_create. */
typedef struct gqe_session_params {
	size_t size;         /* sizeof(gqe_session_params) */
	uint32_t max_tokens; /* capacity of the KV cache, prompt and generated tokens together; required; on a device as in
				gqe_layer_params */
	/*
	 * Tokens in one pass of a prefill; 0: chosen by memory, at most 512. More than max_tokens, or than 32-bit indices reach,
	 * is as much as that; gqe_session_chunk tells.
	 */
	uint32_t chunk;
	bool keep_routing; /* keep every token's experts for gqe_session_routing (4 bytes * layers * G * k a token on the host) */
} gqe_session_params;

/*
 * What a model and one session take in a context of that memory_limit (0: no limit) that holds nothing else. `total` is over the
 * limit when even the smallest chunk does not fit.
 */
GQE_API gqe_status gqe_model_estimate(const gqe_model_files *files, gqe_dtype dtype, const gqe_session_params *params,
				      uint64_t memory_limit, gqe_memory_estimate *estimate, gqe_error *error);

/* A transformer's weights on a device. */
typedef struct gqe_model gqe_model;

/* For gqe_model_load. */
typedef struct gqe_model_params {
	size_t size;              /* sizeof(gqe_model_params) */
	gqe_dtype dtype;          /* as in gqe_layer_params */
	gqe_progress_fn progress; /* NULL: none */
	void *progress_user;      /* `user` of progress */
} gqe_model_params;

/* Copies the weights to the device. `files` must live only during the call. `params` may be NULL. [any] */
GQE_API gqe_status gqe_model_load(gqe_context *context, const gqe_model_files *files, const gqe_model_params *params,
				  gqe_model **model, gqe_error *error);
/* After its sessions. */
GQE_API void gqe_model_destroy(gqe_model **model);
/* The config it was loaded with; lives as long as the model. [any] */
GQE_API const gqe_model_config *gqe_model_get_config(const gqe_model *model);

/*
 * Text to token ids with the model's tokenizer. Writes at most `capacity` ids, sets *count to the number the text has. Only the
 * "bytes" tokenizer (id = byte) exists so far; another is GQE_ERROR_BAD_INPUT naming it.
 */
GQE_API gqe_status gqe_tokenize(const gqe_model_config *config, const char *text, size_t bytes, int32_t *ids, size_t capacity,
				size_t *count, gqe_error *error);
/* The bytes of one token; writes at most `capacity` bytes, sets *count to the number the token has. */
GQE_API gqe_status gqe_detokenize(const gqe_model_config *config, int32_t id, char *text, size_t capacity, size_t *count,
				  gqe_error *error);

/* --------------------------------------------------------------------------------------------------------------- session -- */

/* One sequence: its KV cache, scratch memory and position. */
typedef struct gqe_session gqe_session;

/* Allocates the KV cache and the scratch memory. [any], also for one model */
GQE_API gqe_status gqe_session_create(gqe_model *model, const gqe_session_params *params, gqe_session **session, gqe_error *error);
/* Releases its memory; the model stays. */
GQE_API void gqe_session_destroy(gqe_session **session);

/* For gqe_session_prefill. */
typedef struct gqe_prefill_params {
	size_t size;           /* sizeof(gqe_prefill_params) */
	const int32_t *tokens; /* [count], each 0...vocab_size-1 */
	uint32_t count;        /* T */
	float *nll;            /* out [count]: -ln p(token t+1 | tokens up to t) in nats; the last is 0 as its successor is unknown;
				  NULL: not wanted (and the logits of all but the last token are not computed) */
	float *logits;         /* out [count, vocab_size]: NULL: not wanted */
	gqe_progress_fn progress; /* after every chunk; NULL: none */
	void *progress_user;      /* `user` of progress */
} gqe_prefill_params;

/*
 * Appends `count` tokens to the sequence. Blocks until done. After an error or a cancel the sequence is as long as the chunks
 * completed (gqe_session_position tells), and usable unless the device was lost. One token is a decode step.
 */
GQE_API gqe_status gqe_session_prefill(gqe_session *session, const gqe_prefill_params *params, gqe_error *error);
/* Logits [vocab_size] after the last token; owned by the session, valid until its next call; NULL before the first prefill. */
GQE_API const float *gqe_session_logits(const gqe_session *session);
/* Tokens in the sequence. */
GQE_API uint32_t gqe_session_position(const gqe_session *session);
/* Tokens in one pass of a prefill: what params.chunk was, or what was chosen. */
GQE_API uint32_t gqe_session_chunk(const gqe_session *session);
/* Shortens the sequence to its first `position` tokens; 0 starts anew. */
GQE_API gqe_status gqe_session_rewind(gqe_session *session, uint32_t position, gqe_error *error);
/* Makes the running or the next gqe_session_prefill return GQE_CANCELLED. [any], and from a signal handler. */
GQE_API void gqe_session_cancel(gqe_session *session);

/*
 * Routing statistics of layer `layer` over every token prefilled since creation or gqe_session_rewind(.., 0); GQE only.
 * share [G, M]: fraction of tokens that selected the expert; probability [G, M]: mean router probability;
 * balance [G]: M * sum_m share * probability, k when perfectly even. Each may be NULL.
 */
GQE_API gqe_status gqe_session_balance(const gqe_session *session, uint32_t layer, double *share, double *probability,
				       double *balance, gqe_error *error);
/* experts [count, G, k] of tokens first...first+count-1 in layer `layer`; needs keep_routing; GQE only. */
GQE_API gqe_status gqe_session_routing(const gqe_session *session, uint32_t layer, uint32_t first, uint32_t count, int32_t *experts,
				       gqe_error *error);

/* ------------------------------------------------------------------------------------------------------------- self-test -- */

/* How one kernel did on one shape. Valid during the callback. */
typedef struct gqe_selftest_case {
	const char *kernel; /* "attention", "gemm", ... */
	gqe_path path;      /* of the variant that ran */
	gqe_dtype dtype;    /* of weights and KV cache */
	const char *shape;  /* what was drawn, in words: "T=33 d_h=80 ..." */
	bool passed;        /* error is within tolerance, and no guard band was overwritten */
	double error;       /* the measured error: relative L2, or number of unequal integers */
	double tolerance;   /* the largest error that passes */
	const char *detail; /* on failure: the worst element's index and values, or the guard band that was overwritten; else "" */
} gqe_selftest_case;

/* Called on the thread of gqe_selftest. */
typedef void (*gqe_selftest_fn)(void *user, const gqe_selftest_case *result);

/* For gqe_selftest. */
typedef struct gqe_selftest_params {
	size_t size;             /* sizeof(gqe_selftest_params) */
	uint64_t seed;           /* 0: a fixed default */
	uint32_t cases;          /* random shapes for each kernel, path and dtype; 0: 4 */
	uint32_t max_tokens;     /* largest T drawn; 0: 300 */
	const char *kernel;      /* only this one; NULL: all */
	gqe_selftest_fn on_case; /* after every case; NULL: none */
	void *user;              /* `user` of on_case */
	gqe_path path;           /* only this one; 0: all that the device gets */
} gqe_selftest_params;

/*
 * Runs every kernel of every path this device gets, alone, on random shapes against the C reference, with poisoned outputs and
 * guard bands around every buffer. GQE_ERROR_VERIFICATION when a case fails; all cases run. Not for the reference device
 * (GQE_ERROR_USAGE). [context]
 */
GQE_API gqe_status gqe_selftest(gqe_context *context, const gqe_selftest_params *params, gqe_error *error);

#ifdef __cplusplus
}
#endif

#endif
