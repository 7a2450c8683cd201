// Shows the service's OpenAPI description with Swagger UI, whose files the service brings along.
"use strict";

SwaggerUIBundle({ url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, displayRequestDuration: true });
