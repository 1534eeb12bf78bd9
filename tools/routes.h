/* What the router did with a text: which experts its tokens selected, and what that says. */
#ifndef GQE_TOOLS_ROUTES_H
#define GQE_TOOLS_ROUTES_H

#include "program.h"

/* A layer's group. Entropies are in bits, at most log2 M. */
struct route_group {
	double *share;        /* [M]: fraction of tokens that selected the expert; sums to k */
	double balance;       /* k when perfectly even */
	double entropy;       /* of the experts' shares, divided by k */
	double token_decides; /* 0...1: the part of that entropy that is gone once the token is known; NaN: too few tokens repeat */
};

/* A distinct token: how often, averaged over all layers and groups, it selects the experts that it selects most. */
struct route_token {
	int32_t id;
	uint32_t count;
	double agreement; /* 1: always the same experts; k/M: any */
};

struct routes {
	const gqe_model_config *config;
	const int32_t *tokens; /* [count] */
	uint32_t count;
	uint32_t groups, experts, top_k; /* G, M, k */
	int32_t *selected;               /* [layers, count, G, k] */
	struct route_group *group;       /* [layers, G] */
	double *shares;                  /* [layers, G, M], what group[].share points into */
	struct route_token *token;       /* [token_count], those that occur often enough, the most agreeing first */
	size_t token_count;
};

/* A token that occurs less often says nothing about agreement. */
#define ROUTES_MIN_OCCURRENCES 8

/* The expert of rank 0 (in slot order) of a token. */
int32_t routes_expert(const struct routes *routes, uint32_t layer, uint32_t token, uint32_t group);

/* Allocates for a prefilled prompt; `tokens` and `config` must outlive it. */
gqe_status routes_create(struct routes *routes, const gqe_model_config *config, const int32_t *tokens, uint32_t count,
			 gqe_error *error);
void routes_free(struct routes *routes);
/* Takes the routing of everything that the session has prefilled, and computes the rest. */
gqe_status routes_take(struct routes *routes, const gqe_session *session, gqe_error *error);

/* What the results are about, for their headings. */
struct routes_origin {
	const char *model_folder;
	const gqe_device_info *device; /* NULL: the reference */
	gqe_dtype dtype;
	uint32_t shown; /* tokens in pictures */
};

/* A token's text with white space and control characters made visible; cut to fit. */
void routes_token_text(const gqe_model_config *config, int32_t id, char *text, size_t size);

void routes_print(const struct routes *routes, const struct routes_origin *origin);
cJSON *routes_json(const struct routes *routes, const struct routes_origin *origin);
gqe_status routes_write_plot(const struct routes *routes, const struct routes_origin *origin, const char *path, gqe_error *error);
gqe_status routes_write_page(const struct routes *routes, const struct routes_origin *origin, const char *path, gqe_error *error);

#endif
