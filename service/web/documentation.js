// Swagger UI over the service's own description; the library is served from the package that brings it.
"use strict";

SwaggerUIBundle({ url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, displayRequestDuration: true });
